//! Where generated code finds the runtime crate, which a user's `Cargo.toml` may have renamed.
//!
//! Cargo tells a macro neither its caller's dependencies nor their names, so the manifest is read: by a scan for the
//! few forms in which a dependency is renamed, because a TOML parser would cost every user more build time than all
//! the rest of this crate. What it cannot read falls back to the crate's own name.

use std::cell::LazyCell;
use std::path::Path;
use std::{env, fs};

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote_spanned;

const PACKAGE: &str = "cache-runtime";

/// `::cache_runtime`, or what the crate being compiled calls it.
pub(crate) fn path() -> TokenStream {
    let span = Span::mixed_site();
    let name = env::var_os("CARGO_MANIFEST_DIR").and_then(|folder| name_in(Path::new(&folder)));
    let name = Ident::new(&name.unwrap_or_else(|| PACKAGE.replace('-', "_")), span);
    quote_spanned!(span=> ::#name)
}

/// The name in the manifest of this folder, if it is not the package's own.
fn name_in(folder: &Path) -> Option<String> {
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).ok()?;
    // Read at most once, however many dependencies are inherited.
    let of_workspace = LazyCell::new(|| {
        workspace_manifest(folder)
            .and_then(|workspace| renamed(&workspace, "workspace.", |_| false))
    });
    let found = renamed(&manifest, "", |name| of_workspace.as_deref() == Some(name))?;
    let name = found.replace('-', "_");
    syn::parse_str::<Ident>(&name).is_ok().then_some(name)
}

fn workspace_manifest(folder: &Path) -> Option<String> {
    folder
        .ancestors()
        .filter_map(|ancestor| fs::read_to_string(ancestor.join("Cargo.toml")).ok())
        .find(|manifest| {
            manifest
                .lines()
                .any(|line| line.trim().starts_with("[workspace"))
        })
}

/// The key of the dependency on the runtime, unless it goes by the package's own name.
///
/// `inherits` tells whether the workspace declares this key, which is inherited here, as the runtime.
pub(crate) fn renamed(
    manifest: &str,
    prefix: &str,
    inherits: impl Fn(&str) -> bool,
) -> Option<String> {
    let mut table = String::new();
    let mut found = None;
    for line in manifest
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
    {
        if let Some(header) = line.strip_prefix('[') {
            header
                .split(']')
                .next()
                .unwrap_or_default()
                .clone_into(&mut table);
            continue;
        }
        let Some((left, value)) = line.split_once('=') else {
            continue;
        };
        let Some(dependency) = dependency(&table, left, prefix) else {
            continue;
        };
        let value = value.replace([' ', '\t'], "");
        let attribute = left
            .trim()
            .rsplit_once('.')
            .map_or(left.trim(), |(_, attribute)| attribute);
        let given = |name: &str, text: &str| {
            value.contains(&format!("{name}={text}"))
                || attribute == name && value.starts_with(text)
        };
        if given("package", &format!("\"{PACKAGE}\""))
            || given("workspace", "true") && inherits(&dependency)
        {
            found = Some(dependency);
        } else if dependency == PACKAGE && !given("package", "\"") {
            return None;
        }
    }
    found
}

/// Which dependency this line is about.
fn dependency(table: &str, left: &str, prefix: &str) -> Option<String> {
    let table = table.trim();
    let table = match table.strip_prefix("target.") {
        // `target.'cfg(unix)'.dependencies`: the condition may itself contain dots.
        Some(target) => target.rfind("dependencies").and_then(|start| {
            let kind = target
                .get(..start)?
                .rfind(['.', '\'', '"'])
                .map_or(0, |before| before + 1);
            target.get(kind..)
        })?,
        None => table.strip_prefix(prefix)?,
    };
    let inside = ["dependencies", "dev-dependencies", "build-dependencies"]
        .into_iter()
        .find_map(|kind| table.strip_prefix(kind))?;
    let name = match inside.strip_prefix('.') {
        Some(name) => name,
        None if inside.is_empty() => left.trim().split('.').next()?,
        None => return None,
    };
    Some(name.trim_matches(['"', '\'', ' ']).to_owned())
}

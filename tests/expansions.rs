//! What the attributes write: fourteen functions with their expansions beside them, kept as files so
//! that a change of the macros shows as a diff, and their sizes in `expansions/README.md`.
//!
//! `UPDATE_EXPANSIONS=1 cargo test -p cache-tests --test expansions` rewrites them.

#[path = "../cache-macros/src/args.rs"]
mod args;
#[path = "../cache-macros/src/background.rs"]
mod background;
#[path = "../cache-macros/src/batch.rs"]
mod batch;
#[path = "../cache-macros/src/body.rs"]
mod body;
#[path = "../cache-macros/src/diagnostics.rs"]
mod diagnostics;
#[path = "../cache-macros/src/duration.rs"]
mod duration;
#[path = "../cache-macros/src/entry.rs"]
mod entry;
#[path = "../cache-macros/src/expand.rs"]
mod expand;
#[path = "../cache-macros/src/expand_writes.rs"]
mod expand_writes;
#[path = "../cache-macros/src/model.rs"]
mod model;
#[path = "../cache-macros/src/receiver.rs"]
mod receiver;
#[path = "../cache-macros/src/signature.rs"]
mod signature;
#[path = "../cache-macros/src/template.rs"]
mod template;
#[path = "../cache-macros/src/writes.rs"]
mod writes;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use quote::quote;
use syn::{Attribute, Item, ItemFn, Meta, MetaList};

use writes::Kind;

const TABLE_HEAD: &str = "\
# Expansions

How many lines an attribute adds to a function: around its body, and for the entry function beside it; formatted by
`prettyplease`. Kept by `tests/expansions.rs`; `UPDATE_EXPANSIONS=1 cargo test -p cache-tests --test expansions` rewrites it.

| function | body | entry | expansion |
| --- | --- | --- | --- |
";

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[test]
fn expansions_are_as_written_down() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("expansions");
    let mut table = String::from(TABLE_HEAD);
    let mut files = Vec::new();
    for input in inputs(&folder)? {
        let expansion = Expansion::of(&fs::read_to_string(&input)?)?;
        let name = input.file_stem().unwrap_or_default().display().to_string();
        writeln!(
            table,
            "| [`{name}`]({name}.rs) | {} | {} | [`{name}`]({name}.expanded.rs) |",
            lines(&expansion.function) - lines(&expansion.before),
            lines(&expansion.entry),
        )?;
        let text = format!("{}{}", expansion.function, expansion.entry);
        files.push((input.with_extension("expanded.rs"), text));
    }
    assert_eq!(files.len(), 15);
    files.push((folder.join("README.md"), table));
    for (path, text) in files {
        if env::var_os("UPDATE_EXPANSIONS").is_some() {
            fs::write(&path, &text)?;
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        let path = path.display();
        assert!(
            kept == text,
            "{path} is not what the macros write now:\n{text}"
        );
    }
    Ok(())
}

/// The `.rs` files that are not `.expanded.rs`.
fn inputs(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut inputs = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let stem = path.file_stem().map(Path::new);
        if path.extension().is_some_and(|extension| extension == "rs")
            && stem.is_some_and(|stem| stem.extension().is_none())
        {
            inputs.push(path);
        }
    }
    inputs.sort();
    Ok(inputs)
}

struct Expansion {
    /// The function without its attribute.
    before: String,
    function: String,
    entry: String,
}

impl Expansion {
    fn of(source: &str) -> Result<Self> {
        let mut annotated: ItemFn = syn::parse_str(source)?;
        let ours = |attribute: &Attribute| !attribute.path().is_ident("doc");
        let position = annotated
            .attrs
            .iter()
            .position(ours)
            .ok_or("not annotated")?;
        let attribute = annotated.attrs.remove(position).meta;
        let Meta::List(MetaList { path, tokens, .. }) = attribute else {
            return Err("an attribute without arguments".into());
        };
        let before = quote!(#annotated);
        let runtime = quote!(::cache_runtime);
        let expansion = if path.is_ident("cached") {
            expand::cached(tokens, before.clone(), &runtime)
        } else if path.is_ident("updates") {
            expand_writes::writes(Kind::Updates, tokens, before.clone(), &runtime)
        } else {
            expand_writes::writes(Kind::Invalidates, tokens, before.clone(), &runtime)
        };
        let mut items = syn::parse2::<syn::File>(expansion)?.items.into_iter();
        Ok(Self {
            before: format([syn::parse2(before)?]),
            function: format(items.next()),
            entry: format(items),
        })
    }
}

fn format(items: impl IntoIterator<Item = Item>) -> String {
    let items = items.into_iter();
    prettyplease::unparse(&syn::parse_quote!(#(#items)*))
}

fn lines(text: &str) -> usize {
    text.lines().count()
}

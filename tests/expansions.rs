//! What the attributes write: ten functions with their expansions beside them, kept as files so
//! that a change of the macros shows as a diff, and their sizes in `expansions/README.md`.
//!
//! `UPDATE_EXPANSIONS=1 cargo test -p cache-tests --test expansions` rewrites them.

#[path = "../cache-macros/src/args.rs"]
mod args;
#[path = "../cache-macros/src/body.rs"]
mod body;
#[path = "../cache-macros/src/diagnostics.rs"]
mod diagnostics;
#[path = "../cache-macros/src/duration.rs"]
mod duration;
#[path = "../cache-macros/src/expand.rs"]
mod expand;
#[path = "../cache-macros/src/expand_writes.rs"]
mod expand_writes;
#[path = "../cache-macros/src/model.rs"]
mod model;
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
use syn::{Attribute, Item, ItemFn, Meta};

use writes::Kind;

const TABLE_HEAD: &str = "\
# Expansions

How many lines an attribute adds to a function: around its body, and for the entry function beside it; formatted by
`prettyplease`. Kept by `tests/expansions.rs`; `UPDATE_EXPANSIONS=1 cargo test -p cache-tests --test expansions` rewrites it.

| function | body | entry | expansion |
| --- | --- | --- | --- |
";

#[test]
fn expansions_are_as_written_down() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("expansions");
    let mut table = String::from(TABLE_HEAD);
    let mut files = Vec::new();
    for input in inputs(&folder) {
        let expansion = Expansion::of(&fs::read_to_string(&input).expect("an input is readable"));
        let name = input
            .file_stem()
            .expect("a file has a name")
            .display()
            .to_string();
        let _ = writeln!(
            table,
            "| [`{name}`]({name}.rs) | {} | {} | [`{name}`]({name}.expanded.rs) |",
            lines(&expansion.function) - lines(&expansion.before),
            lines(&expansion.entry),
        );
        let text = format!("{}{}", expansion.function, expansion.entry);
        files.push((input.with_extension("expanded.rs"), text));
    }
    assert_eq!(files.len(), 10);
    files.push((folder.join("README.md"), table));
    for (path, text) in files {
        if env::var_os("UPDATE_EXPANSIONS").is_some() {
            fs::write(&path, &text).expect("the folder is writable");
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == text,
            "{} is not what the macros write now:\n{text}",
            path.display()
        );
    }
}

fn inputs(folder: &Path) -> Vec<PathBuf> {
    let mut inputs: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("the folder is readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter(|path| {
            path.file_stem()
                .is_some_and(|stem| Path::new(stem).extension().is_none())
        })
        .collect();
    inputs.sort();
    inputs
}

struct Expansion {
    /// The function without its attribute.
    before: String,
    function: String,
    entry: String,
}

impl Expansion {
    fn of(source: &str) -> Self {
        let mut annotated: ItemFn = syn::parse_str(source).expect("an input is one function");
        let ours = |attribute: &Attribute| !attribute.path().is_ident("doc");
        let position = annotated
            .attrs
            .iter()
            .position(ours)
            .expect("an input is annotated");
        let Meta::List(attribute) = annotated.attrs.remove(position).meta else {
            panic!("an input's attribute has arguments");
        };
        let tokens = attribute.tokens;
        let before = quote!(#annotated);
        let runtime = quote!(::cache_runtime);
        let expansion = if attribute.path.is_ident("cached") {
            expand::cached(tokens, before.clone(), &runtime)
        } else if attribute.path.is_ident("updates") {
            expand_writes::writes(Kind::Updates, tokens, before.clone(), &runtime)
        } else {
            expand_writes::writes(Kind::Invalidates, tokens, before.clone(), &runtime)
        };
        let mut items = syn::parse2::<syn::File>(expansion)
            .expect("expansions are Rust")
            .items
            .into_iter();
        Self {
            before: format(syn::parse2(before).ok()),
            function: format(items.next()),
            entry: format(items),
        }
    }
}

fn format(items: impl IntoIterator<Item = Item>) -> String {
    let items = items.into_iter();
    prettyplease::unparse(&syn::parse_quote!(#(#items)*))
}

fn lines(text: &str) -> usize {
    text.lines().count()
}

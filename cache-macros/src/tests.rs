//! Texts of errors, and what is read from attributes and manifests. What expansions do is tested against the runtime,
//! where the errors sit in the source by `tests/ui`, and how expansions look by `tests/expansions`.

use proc_macro2::{TokenStream, TokenTree};
use quote::quote;

use crate::receiver::Renamed;
use crate::writes::Kind;
use crate::{expand, expand_writes};

/// What `#[cached(attribute)]` on a plain function reports.
fn wrong(attribute: TokenStream) -> Vec<String> {
    let function = quote!(
        async fn f(id: u64, name: &str) -> Result<String, E> {
            g(id, name).await
        }
    );
    wrong_on(attribute, function)
}

fn wrong_on(attribute: TokenStream, item: TokenStream) -> Vec<String> {
    errors(expand::cached(attribute, item, &quote!(::cache_runtime)))
}

fn wrong_write(kind: Kind, attribute: TokenStream) -> Vec<String> {
    let function = quote!(
        async fn f(id: u64, name: &str) -> Result<String, E> {
            g(id, name).await
        }
    );
    errors(expand_writes::writes(
        kind,
        attribute,
        function,
        &quote!(::cache_runtime),
    ))
}

/// The texts of all `compile_error!`s, in order.
fn errors(expansion: TokenStream) -> Vec<String> {
    let mut texts = Vec::new();
    let mut after_error = false;
    for token in expansion {
        match token {
            TokenTree::Ident(word) => after_error = word == "compile_error",
            TokenTree::Group(group) if after_error => {
                let text: syn::LitStr = syn::parse2(group.stream()).expect("an error is a string");
                texts.push(text.value());
                after_error = false;
            }
            _ => {}
        }
    }
    texts
}

#[track_caller]
fn assert_wrong(attribute: TokenStream, expected: &[&str]) {
    let reported = wrong(attribute);
    assert_eq!(reported.len(), expected.len(), "{reported:#?}");
    for (reported, expected) in reported.iter().zip(expected) {
        assert!(
            reported.contains(expected),
            "{reported}\ndoes not contain\n{expected}"
        );
    }
}

#[test]
fn durations_come_in_three_forms() {
    for good in [
        quote!(300),
        quote!("250ms"),
        quote!("1w2d3h4m5s6ms"),
        quote!("1h30m"),
        quote!(TTL),
        quote!(x.ttl()),
    ] {
        assert_wrong(quote!(ttl = #good), &[]);
    }
    assert_wrong(quote!(ttl = 0), &["longer than zero"]);
    assert_wrong(quote!(ttl = "0s"), &["longer than zero"]);
    assert_wrong(quote!(ttl = ""), &["an empty duration"]);
    assert_wrong(quote!(ttl = "5"), &["write `5s`"]);
    assert_wrong(quote!(ttl = "5 m"), &["unknown unit ` m`"]);
    assert_wrong(quote!(ttl = "5y"), &["unknown unit `y`"]);
    assert_wrong(quote!(ttl = "m5"), &["`m5` is not a duration"]);
    assert_wrong(quote!(ttl = "1.5h"), &["unknown unit `.`"]);
    assert_wrong(quote!(ttl = "1m1h"), &["`h` comes too late"]);
    assert_wrong(quote!(ttl = "1m1m"), &["`m` comes too late"]);
    assert_wrong(quote!(ttl = "99999999999999w"), &["too long"]);
    assert_wrong(quote!(ttl = 99999999999999999999), &["too long"]);
    assert_wrong(
        quote!(ttl = 5m),
        &["write the unit inside a string: `\"5m\"`"],
    );
    assert_wrong(quote!(ttl = 0.5), &["`\"500ms\"`"]);
    assert_wrong(quote!(ttl = -5), &["cannot be negative"]);
    assert_wrong(quote!(ttl = true), &["not a duration"]);
}

#[test]
fn templates_name_parameters() {
    for good in [
        "{id}:{name}",
        "{id:?} {name:>8}",
        "a{{{id}}}{name}",
        "{id.0.x}:{name.type}",
        "x:{name}:{id}:{name}",
    ] {
        assert_wrong(quote!(ttl = 1, key = #good), &[]);
    }
    assert_wrong(quote!(ttl = 1, key = ""), &["an empty template"]);
    assert_wrong(
        quote!(ttl = 1, key = "%tag:{id}:{name}"),
        &["keys that begin with `%` are those of tags"],
    );
    assert_wrong(
        quote!(ttl = 1, key = "{}"),
        &["write `{id}` instead of `{}`"],
    );
    assert_wrong(
        quote!(ttl = 1, key = "{0}"),
        &["placeholders name a parameter"],
    );
    assert_wrong(quote!(ttl = 1, key = "{id"), &["`{` is never closed"]);
    assert_wrong(quote!(ttl = 1, key = "id}"), &["`}` closes nothing"]);
    assert_wrong(
        quote!(ttl = 1, key = "{user}"),
        &["unknown placeholder `{user}`: the parameters are `id` and `name`"],
    );
    assert_wrong(
        quote!(ttl = 1, key = "{self.x}"),
        &["unknown placeholder `{self}`"],
    );
    assert_wrong(quote!(ttl = 1, key = "{id.len()}"), &["field names only"]);
    assert_wrong(quote!(ttl = 1, key = "{id + 1}"), &["is not a placeholder"]);
    assert_wrong(quote!(ttl = 1, key = "{id:name$}"), &["written as numbers"]);
    for ambiguous in ["{id}{name}", "{id}-{name}", "{id}%{name}"] {
        assert_wrong(
            quote!(ttl = 1, key = #ambiguous),
            &["put a `:` between them, as in `{id}:{name}`"],
        );
    }
}

#[test]
fn every_parameter_is_in_the_key_or_skipped() {
    assert_wrong(quote!(ttl = 1, key = "{id}", skip(name)), &[]);
    assert_wrong(quote!(ttl = 1, skip(name, id)), &[]);
    assert_wrong(
        quote!(ttl = 1, key = "{id}"),
        &["`name` is neither in the key nor in `skip`"],
    );
    assert_wrong(
        quote!(ttl = 1, key = "k"),
        &["`id` is neither", "`name` is neither"],
    );
    assert_wrong(
        quote!(ttl = 1, key = "{id}:{name}", skip(name)),
        &["`name` is in the key and in `skip`"],
    );
    assert_wrong(
        quote!(ttl = 1, skip(db)),
        &["names no parameter `db`: the parameters are `id` and `name`"],
    );
    assert_wrong(quote!(ttl = 1, skip(self)), &["names no parameter `self`"]);
    assert_wrong(quote!(ttl = 1, skip(id, id)), &["`id` is skipped twice"]);
    let method = quote!(
        async fn f(&self, id: u64) -> u64 {
            id
        }
    );
    assert_eq!(
        wrong_on(quote!(ttl = 1, key = "{id}"), method.clone()).len(),
        1
    );
    assert!(wrong_on(quote!(ttl = 1, key = "{id}", skip(self)), method.clone()).is_empty());
    assert!(wrong_on(quote!(ttl = 1, key = "{self.tenant}:{id}"), method).is_empty());
}

#[test]
fn arguments_are_read_one_by_one_and_all_errors_reported() {
    assert_wrong(quote!(), &["Write `ttl = 300`"]);
    assert_wrong(quote!(tll = 1), &["did you mean `ttl`?"]);
    assert_wrong(
        quote!(ttl = 1, remote),
        &["unknown argument `remote`: there are `ttl`, `ttl_with`,"],
    );
    assert_wrong(quote!(ttl = 1, near =), &["`near` lacks its value"]);
    assert_wrong(
        quote!(ttl = 1, near = 5s),
        &["write the unit inside a string"],
    );
    assert_wrong(quote!(ttl = 1, ttl = 2), &["`ttl` is given twice"]);
    assert_wrong(
        quote!(ttl = 1, ttl_with = f),
        &["`ttl` and `ttl_with` both"],
    );
    assert_wrong(quote!(ttl), &["`ttl` takes a value: write `ttl = 300`"]);
    assert_wrong(quote!(ttl =), &["`ttl` lacks its value"]);
    assert_wrong(quote!(ttl = 1, skip), &["`skip` takes names"]);
    assert_wrong(quote!(ttl = 1, skip(1)), &["`skip` takes names"]);
    for good in [
        quote!(near),
        quote!(near = "5s"),
        quote!(near = 5),
        quote!(tags("a")),
        quote!(tags("a:{id}", "b:{name}",)),
        quote!(tags()),
    ] {
        assert_wrong(quote!(ttl = 1, #good), &[]);
    }
    for not_templates in [quote!(tags), quote!(tags = "a"), quote!(tags(id))] {
        assert_wrong(quote!(ttl = 1, #not_templates), &["`tags` takes templates"]);
    }
    assert_wrong(
        quote!(ttl = 1, tags("org:{org}")),
        &["unknown placeholder `{org}`: the parameters are `id` and `name`"],
    );
    assert_wrong(
        quote!(ttl = 1, tags("a", "b", "a")),
        &["this tag is given twice"],
    );
    assert_wrong(quote!(ttl = 1, key = 5), &["`key` is a string literal"]);
    assert_wrong(quote!(ttl = 1, entry = true), &["`entry` is the name"]);
    assert_wrong(quote!(ttl = 1 cache = c), &["expected `,`"]);
    assert_wrong(
        quote!(
            ttl = "5x",
            skip(db),
            codec,
            key = "{id}{name}",
            nonsense + 1,
            entry = 1
        ),
        &[
            "unknown unit",
            "`codec` takes a value",
            "unknown argument `nonsense`",
            "`entry` is the name",
            "names no parameter",
            "nothing separates",
        ],
    );
}

#[test]
fn the_signature_has_to_be_cacheable() {
    let wrong = |item: TokenStream| wrong_on(quote!(ttl = 1), item).join("\n");
    assert!(
        wrong(quote!(
            fn f() -> u64 {
                1
            }
        ))
        .contains("write `async fn`")
    );
    assert!(
        wrong(quote!(
            struct S;
        ))
        .contains("goes on an `async fn`")
    );
    assert!(
        wrong(quote!(
            async fn f() -> u64;
        ))
        .contains("has no body")
    );
    assert!(
        wrong(quote!(
            async fn f() -> ! {
                loop {}
            }
        ))
        .contains("this one never does")
    );
    assert!(
        wrong(quote!(
            async fn f() {}
        ))
        .contains("returns nothing to cache")
    );
    assert!(
        wrong(quote!(
            async fn f() -> () {}
        ))
        .contains("returns nothing to cache")
    );
    assert!(
        wrong(quote!(
            async fn f<'a>(s: &'a str) -> &'a str {
                s
            }
        ))
        .contains("`String` for `&str`")
    );
    assert!(
        wrong(quote!(
            async fn f(n: u8) -> Result<Option<&'static str>, E> {
                g(n)
            }
        ))
        .contains("so it cannot borrow")
    );
    assert!(
        wrong(quote!(
            async fn f<T>() -> T {
                g()
            }
        ))
        .contains("return `Result<T, _>`")
    );
    assert!(
        wrong(quote!(
            async fn f() -> Vec<impl Sized> {
                vec![1]
            }
        ))
        .contains("instead of `impl ..`")
    );
    assert!(
        wrong(quote!(
            async unsafe fn f() -> u64 {
                1
            }
        ))
        .contains("`unsafe fn`")
    );
    assert!(
        wrong(quote!(
            fn f<'a>(&'a self) -> Pin<Box<dyn Future<Output = u64> + Send + 'a>> {
                b()
            }
        ))
        .contains("`#[async_trait]`")
    );
}

#[test]
fn writes_name_entries_and_tags() {
    let wrong = |kind, attribute| wrong_write(kind, attribute).join("\n");
    for good in [
        quote!(get(id)),
        quote!(
            self.users.get(id),
            db::get(&name),
            Repo::<User>::load::<T>(id),
            tag("all"),
            tag("x:{ret.id}:{name}")
        ),
        quote!(get(ret.id), only_ok, cache = self.cache),
    ] {
        assert_eq!(wrong(Kind::Invalidates, good), "");
    }
    assert_eq!(
        wrong(Kind::Updates, quote!(get(id) = &ret.0, tag("x:{id}"))),
        ""
    );
    assert!(wrong(Kind::Invalidates, quote!()).contains("nothing to act on"));
    assert!(wrong(Kind::Invalidates, quote!(only_ok)).contains("nothing to act on"));
    assert!(wrong(Kind::Invalidates, quote!(get)).contains("as in `get(id)`"));
    assert!(wrong(Kind::Invalidates, quote!(get(id).await)).contains("remove `.await`"));
    assert!(wrong(Kind::Invalidates, quote!("get")).contains("not something to act on"));
    assert!(
        wrong(Kind::Invalidates, quote!(get(id) = ret)).contains("`#[invalidates]` stores nothing")
    );
    assert!(wrong(Kind::Invalidates, quote!(get(id), only_ok, only_ok)).contains("given twice"));
    assert!(wrong(Kind::Invalidates, quote!(get(id), cache)).contains("`cache = self.cache`"));
    assert!(wrong(Kind::Invalidates, quote!(tag(id))).contains("a tag is a template"));
    assert!(
        wrong(Kind::Invalidates, quote!(tag("x:{org}")))
            .contains("the parameters are `id`, `name` and `ret`")
    );
    assert!(wrong(Kind::Updates, quote!(tag("x"))).contains("name its function"));
    assert!(wrong(Kind::Updates, quote!(tag("x") = ret, get(id))).contains("a tag has no value"));
}

#[test]
fn a_wrong_attribute_leaves_the_function_and_a_stand_in_for_its_entry() {
    let function = quote!(
        async fn f(id: u64) -> u64 {
            id
        }
    );
    let expansion = expand::cached(
        quote!(ttl = "x", key = "k:{id}"),
        function.clone(),
        &quote!(::c),
    )
    .to_string();
    assert!(expansion.contains(&function.to_string()), "{expansion}");
    assert!(
        expansion.contains("fn f_entry (id : u64) -> :: c :: Entry < u64 >"),
        "{expansion}"
    );
}

#[test]
fn a_load_in_the_background_borrows_nothing_from_its_caller() {
    let wrong = |item| wrong_on(quote!(ttl = 1, stale_while_revalidate = "1m"), item).join("\n");
    assert_eq!(
        wrong(quote!(
            async fn f(&self, mut id: u64, name: &str, (a, b): &(u8, u8)) -> Result<u64, E> {
                self.get(&mut id, name).await
            }
        )),
        ""
    );
    assert!(
        wrong(quote!(
            async fn f(id: &mut u64) -> u64 {
                *id
            }
        ))
        .contains("cannot borrow mutably")
    );
    assert!(
        wrong(quote!(
            async fn f(&mut self) -> u64 {
                1
            }
        ))
        .contains("cannot borrow mutably")
    );
    assert!(
        wrong(quote!(
            async fn f((ref mut id, _): (u64, u64)) -> u64 {
                *id
            }
        ))
        .contains("cannot borrow mutably")
    );
    assert!(
        wrong(quote!(
            async fn f(id: &str) -> Result<u64, Rejected<'_>> {
                Err(id)
            }
        ))
        .contains("neither its value nor its error can borrow")
    );
    assert_eq!(
        wrong(quote!(
            async fn f(id: &str) -> Result<&'static str, &'static str> {
                Err(id)
            }
        )),
        "a cached value outlives the call, so it cannot borrow: return an owned type, such as `String` for `&str` or `Arc<T>` for `&T`"
    );
    for (text, captured) in [
        ("{self}", true),
        ("a {self:?} b", true),
        ("{{{self}}}", true),
        ("{{self}}", false),
        ("{self_}", false),
        ("self {}", false),
    ] {
        let reported = wrong(quote!(
            async fn f(&self) -> Result<u64, String> {
                let _ = "{self}";
                Err(format!(#text))
            }
        ));
        assert_eq!(
            reported.contains("write `\"{}\", self`"),
            captured,
            "{text}"
        );
    }
}

#[test]
fn self_is_renamed_where_it_is_the_receiver() {
    let tokens = |text: &str| text.parse::<TokenStream>().expect("tokens");
    for (body, expected) in [
        (
            "self.x + m!(self.y, { self })",
            "__self.x + m!(__self.y, { __self })",
        ),
        ("move || Self::new(self)", "move || Self::new(__self)"),
        (
            "use a::{self, b}; self::c(self)",
            "use a::{self, b}; self::c(__self)",
        ),
        (
            "struct S { pub(self) x: u8 } (self)",
            "struct S { pub(self) x: u8 } (__self)",
        ),
        (
            "let f: fn(&Self) = g; f(self)",
            "let f: fn(&Self) = g; f(__self)",
        ),
        // Items with a `self` of their own.
        (
            "fn f(&self) -> A<{ N }> { self } self",
            "fn f(&self) -> A<{ N }> { self } __self",
        ),
        (
            "impl A for B { fn f(&self) {} } self",
            "impl A for B { fn f(&self) {} } __self",
        ),
        (
            "trait A { fn f(&self); } self",
            "trait A { fn f(&self); } __self",
        ),
        // A macro that is defined here may mean the receiver.
        (
            "macro_rules! m { () => { self.x } }",
            "macro_rules! m { () => { __self.x } }",
        ),
    ] {
        let renamed = Renamed::new(tokens(body));
        assert_eq!(renamed.tokens.to_string(), tokens(expected).to_string());
        assert!(renamed.found);
    }
    assert!(!Renamed::new(tokens("self::f(x)")).found);
}

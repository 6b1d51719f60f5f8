use super::reader::{NAMES, Node, read};
use crate::KeyBuilder;
use proptest::prelude::*;
use serde::Serialize;
use serde::ser::Serializer;
use std::collections::{BTreeMap, HashMap, HashSet};

fn rendered<T: Serialize + ?Sized>(value: &T) -> String {
    let mut text = String::new();
    super::render(value, &mut text).expect("the value can be rendered");
    text
}

#[derive(Serialize)]
struct Page {
    city: &'static str,
    number: u32,
}

#[derive(Serialize)]
struct UserId(u64);

#[derive(Serialize)]
struct Point(i32, i32);

#[derive(Serialize)]
struct Marker;

#[derive(Serialize)]
enum Shape {
    Nothing,
    Circle(u32),
    Segment(Point, Point),
    Box { w: u32, h: u32 },
}

struct Bytes(&'static [u8]);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// The table of the module's documentation.
#[test]
fn arguments_are_readable() {
    assert_eq!(rendered(&42), "42");
    assert_eq!(rendered(&-1.5), "-1.5");
    assert_eq!(rendered(&true), "true");
    assert_eq!(rendered("Paris"), "Paris");
    assert_eq!(rendered(&'x'), "x");
    assert_eq!(rendered("a b"), "a%20b");
    assert_eq!(rendered("x:y"), "x%3Ay");
    assert_eq!(rendered("alice@example.org"), "alice@example.org");
    assert_eq!(
        rendered("550e8400-e29b-41d4-a716-446655440000"),
        "550e8400-e29b-41d4-a716-446655440000"
    );
    assert_eq!(rendered(&None::<u8>), "none");
    assert_eq!(rendered(&Some(3)), "some(3)");
    assert_eq!(rendered(&Some("")), "some(')");
    assert_eq!(rendered(&()), "()");
    assert_eq!(rendered(&Marker), "()");
    assert_eq!(rendered(&(1, 2)), "(1,2)");
    assert_eq!(rendered(&(1,)), "(1,)");
    assert_eq!(rendered(&[0u8; 0]), "(,)");
    assert_eq!(rendered(&vec![1, 2]), "[1,2]");
    assert_eq!(rendered(&Vec::<u8>::new()), "[]");
    assert_eq!(rendered(&UserId(42)), "42");
    assert_eq!(
        rendered(&Page {
            city: "Rome",
            number: 2
        }),
        "(city=Rome,number=2)"
    );
    assert_eq!(rendered(&Shape::Nothing), "Nothing()");
    assert_eq!(rendered(&Shape::Circle(5)), "Circle(5)");
    assert_eq!(
        rendered(&Shape::Segment(Point(0, 1), Point(2, 3))),
        "Segment((0,1),(2,3))"
    );
    assert_eq!(rendered(&Shape::Box { w: 1, h: 2 }), "Box(w=1,h=2)");
    assert_eq!(rendered(&Bytes(b"\x00\xff")), "bytes(00ff)");
    assert_eq!(rendered(&BTreeMap::from([("a", 1), ("b", 2)])), "[a=1,b=2]");
    assert_eq!(rendered(&BTreeMap::<u8, u8>::new()), "[=]");
    assert_eq!(rendered("127.0.0.1"), "'127.0.0.1");
    assert_eq!(rendered(&std::net::Ipv6Addr::LOCALHOST), "%3A%3A1");
}

#[test]
fn strings_are_marked_where_they_look_like_something_else() {
    for text in [
        "", "1", "-5", "1.0", "1e5", "-", "true", "none", "some", "bytes", "NaN", "inf", "-inf",
        "'", "'a",
    ] {
        assert_eq!(rendered(text), format!("'{text}"));
    }
    for text in ["-a", "1a", "e", ".5", "nothing", "a'b", "infinite", "True"] {
        assert_eq!(rendered(text), text);
    }
}

#[test]
fn kinds_are_kept_apart() {
    let texts = [
        rendered(&1u8),
        rendered("1"),
        rendered(&1.0),
        rendered(&true),
        rendered("true"),
        rendered(&()),
        rendered("()"),
        rendered(""),
        rendered(&None::<&str>),
        rendered("none"),
        rendered(&Some("")),
        rendered(&Some(())),
        rendered(&Some(None::<u8>)),
        rendered(&Some(Some(1))),
        rendered(&Some(1)),
        rendered("some(1)"),
        rendered(&vec!["1"]),
        rendered(&vec![1]),
        rendered(&(1,)),
        rendered(&BTreeMap::from([(1, 1)])),
        rendered(&Vec::<u8>::new()),
        rendered(&BTreeMap::<u8, u8>::new()),
        rendered(&[0u8; 0]),
        rendered(&Bytes(b"1")),
        rendered("bytes(31)"),
        rendered("Nothing"),
        rendered(&Shape::Nothing),
    ];
    let distinct: HashSet<_> = texts.iter().collect();
    assert_eq!(distinct.len(), texts.len(), "{texts:?}");
}

#[test]
fn nested_borders_hold() {
    assert_ne!(rendered(&("a", "b")), rendered(&("a:b",)));
    assert_ne!(rendered(&("a", "b")), rendered(&("a,b",)));
    assert_ne!(rendered(&vec!["a", "b"]), rendered(&vec!["a,b"]));
    assert_ne!(
        rendered(&vec![vec![1], vec![2]]),
        rendered(&vec![vec![1, 2]])
    );
    assert_ne!(
        rendered(&vec![vec![1], vec![]]),
        rendered(&vec![vec![], vec![1]])
    );
    assert_ne!(
        rendered(&BTreeMap::from([("a", "b,c=d")])),
        rendered(&BTreeMap::from([("a", "b"), ("c", "d")]))
    );
    assert_ne!(rendered("%2C"), rendered(","));
}

#[test]
fn floats_are_told_apart_by_value() {
    assert_ne!(rendered(&0.0), rendered(&-0.0));
    assert_eq!(rendered(&f64::NAN), rendered(&-f64::NAN));
    assert_eq!(rendered(&f64::NEG_INFINITY), "-inf");
    assert_ne!(rendered(&0.1), rendered(&(0.1 + f64::EPSILON)));
    assert_ne!(rendered(&f64::MAX), rendered(&f64::INFINITY));
    assert_eq!(rendered(&1e300), "1e300");
}

#[test]
fn fields_swapped_between_deploys_do_not_meet() {
    #[derive(Serialize)]
    struct Before {
        from: u8,
        to: u8,
    }
    #[derive(Serialize)]
    struct After {
        to: u8,
        from: u8,
    }
    assert_ne!(
        rendered(&Before { from: 1, to: 2 }),
        rendered(&After { to: 1, from: 2 })
    );
}

#[test]
fn hash_collections_render_alike_whatever_their_order() {
    // Each collection hashes with its own random keys, so a hundred of them come in many orders.
    let words = ["b", "a", "", "1", "x,y", "c=d", "(", "none"];
    let sets: HashSet<_> = (0..100)
        .map(|_| rendered(&words.into_iter().collect::<HashSet<_>>()))
        .collect();
    assert_eq!(sets.len(), 1);
    let maps: HashSet<_> = (0..100)
        .map(|_| {
            let inner = || words.into_iter().zip(0..).collect::<HashMap<_, _>>();
            rendered(&(7, Some(HashMap::from([("x", inner()), ("y", inner())]))))
        })
        .collect();
    assert_eq!(maps.len(), 1);
    assert_eq!(rendered(&HashMap::<u8, u8>::new()), "[=]");
    assert_eq!(rendered(&HashSet::from([3])), "[3]");
}

#[test]
fn order_means_something_everywhere_else() {
    struct Ordered(Vec<(u8, u8)>);
    impl Serialize for Ordered {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(self.0.iter().copied())
        }
    }
    assert_ne!(rendered(&vec![1, 2]), rendered(&vec![2, 1]));
    assert_ne!(
        rendered(&Ordered(vec![(1, 1), (2, 2)])),
        rendered(&Ordered(vec![(2, 2), (1, 1)]))
    );
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(NAMES.to_vec())
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        name().prop_map(str::to_owned),
        "[-0-9.e'():,=%{}\\[\\] \0🦀a]{0,5}",
        any::<i64>().prop_map(|number| number.to_string()),
        any::<String>(),
    ]
}

fn node() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Node::Bool),
        any::<i128>().prop_map(Node::Integer),
        (-9..9i128).prop_map(Node::Integer),
        any::<f64>().prop_map(|value| Node::Float(value.to_bits())),
        (-9..9i32).prop_map(|value| Node::Float(f64::from(value).to_bits())),
        prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.0])
            .prop_map(|value| Node::Float(value.to_bits())),
        text().prop_map(Node::Text),
        prop::collection::vec(any::<u8>(), 0..4).prop_map(Node::Bytes),
        Just(Node::None),
        Just(Node::Unit),
        name().prop_map(Node::UnitVariant),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let values = || prop::collection::vec(inner.clone(), 0..4);
        let fields = || prop::collection::vec((name(), inner.clone()), 0..4);
        prop_oneof![
            inner.clone().prop_map(|value| Node::Some(Box::new(value))),
            values().prop_map(Node::Sequence),
            values().prop_map(Node::Tuple),
            prop::collection::vec((inner.clone(), inner.clone()), 0..4).prop_map(Node::Map),
            fields().prop_map(Node::Struct),
            (name(), inner.clone())
                .prop_map(|(name, value)| Node::NewtypeVariant(name, Box::new(value))),
            (name(), values()).prop_map(|(name, values)| Node::TupleVariant(name, values)),
            (name(), fields()).prop_map(|(name, fields)| Node::StructVariant(name, fields)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// What can be read back is injective.
    #[test]
    fn every_value_reads_back(node in node()) {
        let text = rendered(&node);
        prop_assert_eq!(read(&text), Some(node), "{}", text);
        prop_assert!(!text.is_empty());
        let structural = |c: char| ":{}".contains(c) || c.is_whitespace() || c.is_control();
        prop_assert!(!text.contains(structural), "{}", text);
    }

    #[test]
    fn different_argument_lists_give_different_keys(
        one in prop::collection::vec(node(), 0..4),
        two in prop::collection::vec(node(), 0..4),
    ) {
        let key = |nodes: &[Node]| {
            let start = KeyBuilder::new("ns").text("f");
            nodes.iter().fold(start, |key, node| key.argument(node)).finish().unwrap()
        };
        prop_assert_eq!(key(&one) == key(&two), one == two);
    }

    #[test]
    fn strings_read_back(text in text()) {
        prop_assert_eq!(read(&rendered(&text)), Some(Node::Text(text)));
    }

    #[test]
    fn displayed_values_render_like_strings(text in text()) {
        struct Shown<'a>(&'a str);
        impl Serialize for Shown<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self.0)
            }
        }
        prop_assert_eq!(rendered(&Shown(&text)), rendered(&text));
    }
}

use super::*;
use mcp::Offered;
use std::net::Ipv4Addr;

const ANA: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const BEN: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
const ROOM: usize = 64 << 20;

fn key(n: usize) -> ServerKey {
    ServerKey { host: format!("s{n}.example"), ip: "203.0.113.9".to_owned(), port: 443, path: "/mcp".to_owned() }
}

/// Tools as `name` and a letter for what they say.
fn page(asked: Option<u8>, next: Option<u8>, tools: &[&str]) -> Page {
    let offered = |tool: &&str| {
        let (name, text) = tool.split_once('=').unwrap_or((tool, ""));
        let class = if text == "r" { ToolClass::Read } else { ToolClass::Destructive };
        let mut digest = [0; 32];
        digest.iter_mut().zip(tool.bytes()).for_each(|(to, from)| *to = from);
        Offered { name: name.to_owned(), class, digest }
    };
    let tools = Catalogue { tools: tools.iter().map(offered).collect(), rest: None };
    Page { asked: asked.map(|n| [n; 16]), next: next.map(|n| [n; 16]), tools: Arc::new(tools) }
}

fn learn(all: &mut Catalogues, client: IpAddr, page: &Page) -> Option<NewList> {
    all.learn((&key(0), Classification::Sanctioned), client, page, ROOM)
}

/// `+` added, `-` removed, `~` changed.
fn told(new: Option<NewList>) -> String {
    let Some(new) = new else { return "known".to_owned() };
    if new.before.is_none() {
        return "first".to_owned();
    }
    let all = |sign: &str, names: &[String]| names.iter().flat_map(|name| [sign, name]).collect::<String>();
    all("+", &new.added) + &all("-", &new.removed) + &all("~", &new.changed)
}

#[test]
fn a_list_is_told_once_and_what_was_there_before_is_no_change() {
    let mut all = Catalogues::default();
    for (tools, want) in [
        (&["a", "b"][..], "first"),
        (&["a", "b"], "known"),
        (&["b", "a"], "known"),
        (&["a", "b", "c"], "+c"),
        (&["a", "b"], "known"),
        (&["a", "b", "c"], "known"),
        (&["a=x", "b", "c"], "~a"),
        (&["a=y", "d"], "+d-b-c~a"),
        (&[], "-a-d"),
        (&["a", "b"], "known"),
        // A second tool of the same name is a change of it.
        (&["a", "a=x", "b"], "~a"),
    ] {
        assert_eq!(told(learn(&mut all, ANA, &page(None, None, tools))), want, "{tools:?}");
    }
}

#[test]
fn a_client_that_may_see_less_makes_no_change_each_time() {
    let mut all = Catalogues::default();
    let (whole, part) = (page(None, None, &["a", "b"]), page(None, None, &["a"]));
    let told: Vec<_> =
        [&whole, &part, &whole, &part, &whole].iter().map(|page| told(learn(&mut all, ANA, page))).collect();
    assert_eq!(told, ["first", "-b", "known", "known", "known"]);
}

#[test]
fn a_list_in_pages_is_one_list_and_half_of_one_says_nothing() {
    let mut all = Catalogues::default();
    learn(&mut all, ANA, &page(None, None, &["a", "b", "c"]));
    let (first, second, third) =
        (page(None, Some(1), &["a"]), page(Some(1), Some(2), &["b"]), page(Some(2), None, &["c"]));
    for page in [&first, &second, &third] {
        assert_eq!(learn(&mut all, ANA, page), None);
    }
    // Two clients at once; the pages of one say nothing of the other.
    learn(&mut all, ANA, &first);
    learn(&mut all, BEN, &page(None, Some(1), &["x"]));
    learn(&mut all, ANA, &second);
    assert_eq!(learn(&mut all, BEN, &third), None, "its beginning was not seen");
    assert_eq!(learn(&mut all, ANA, &third), None);
    assert_eq!(told(learn(&mut all, BEN, &page(Some(1), None, &["a", "b", "c"]))), "+x");
    // A server that never comes to an end.
    for n in 0..200 {
        learn(&mut all, ANA, &page((n > 0).then_some(n), Some(n + 1), &["z"]));
    }
    assert!(all.pages_not_kept > 100 && all.all.values().all(|known| known.paged.len() <= MAX_PAGED));
}

#[test]
fn the_class_of_a_tool_is_the_one_it_had_last_and_of_two_at_once_the_worse() {
    let mut all = Catalogues::default();
    let class = |all: &Catalogues, tool: &str| all.class(&key(0), Classification::Sanctioned, tool);
    assert_eq!(class(&all, "a"), ToolClass::Unknown);
    learn(&mut all, ANA, &page(None, Some(1), &["a=r", "b=r", "b=w"]));
    assert_eq!((class(&all, "a"), class(&all, "b")), (ToolClass::Read, ToolClass::Destructive));
    learn(&mut all, BEN, &page(None, None, &["a=w", "b=r"]));
    assert_eq!((class(&all, "a"), class(&all, "b")), (ToolClass::Destructive, ToolClass::Read));
    assert_eq!(class(&all, "c"), ToolClass::Unknown);
    // Another address of a server that is approved is the same server; of others it is another.
    let elsewhere = ServerKey { ip: "203.0.113.10".to_owned(), ..key(0) };
    assert_eq!(all.class(&elsewhere, Classification::Sanctioned, "b"), ToolClass::Read);
    assert_eq!(all.class(&elsewhere, Classification::Shadow, "b"), ToolClass::Unknown);
}

#[test]
fn what_is_approved_is_no_news_and_everything_else_is() {
    let mut all = Catalogues::default();
    let first = learn(&mut all, ANA, &page(None, None, &["a"])).unwrap();
    let second = learn(&mut all, ANA, &page(None, None, &["a", "b"])).unwrap();
    let third = learn(&mut all, ANA, &page(None, None, &["a=x", "b"])).unwrap();
    let fourth = learn(&mut all, ANA, &page(None, None, &["b"])).unwrap();
    assert!(!first.is_news(&[]) && second.is_news(&[]));
    assert!(first.is_news(&[second.hash]) && !second.is_news(&[[0; 32], second.hash]));
    let severities = [&second, &third, &fourth].map(|new| new.severity(false));
    assert_eq!(severities, [Severity::Medium, Severity::High, Severity::Low]);
    assert_eq!(fourth.severity(true), Severity::High);
    let record = third.clone().record(false);
    assert_eq!((record.before, record.changed), (Some(sha256(&second.hash)), vec!["a".to_owned()]));
    assert_eq!(record.sha256.len(), 71);
}

#[test]
fn no_server_can_make_more_be_kept_than_there_is_room_for() {
    let mut all = Catalogues::default();
    let names: Vec<String> = (0..3 * MAX_TOOLS).map(|n| format!("tool-{n}")).collect();
    let tools: Vec<&str> = names.iter().map(String::as_str).collect();
    let new = learn(&mut all, ANA, &page(None, None, &tools)).unwrap();
    assert_eq!((new.tools, new.added.len(), all.tools_not_kept), (MAX_TOOLS, MAX_WRITTEN, 4 * MAX_TOOLS as u64));
    assert!(all.all.values().all(|known| known.classes.len() <= MAX_TOOLS));
    let mut other = tools.clone();
    *other.last_mut().unwrap() = "tool-last";
    assert!(learn(&mut all, ANA, &page(None, None, &other)).is_some(), "what is beyond counts for the hash");
    let limit = 256 << 10;
    for n in 0..500 {
        all.learn((&key(n), Classification::Shadow), ANA, &page(None, Some(1), &["a", "b"]), limit);
        assert!(all.bytes <= limit);
    }
    assert_eq!((all.by_age.len() + usize::try_from(all.forgotten).unwrap(), all.by_age.len()), (501, all.all.len()));
    assert!(all.forgotten > 100 && all.class(&key(499), Classification::Shadow, "a") == ToolClass::Destructive);
    assert_eq!(all.bytes, all.all.values().map(|known| known.charged).sum::<usize>());
}

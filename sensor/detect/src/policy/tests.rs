use super::*;
use crate::rules::{RuleSet, RuleText, compile};
use crate::{Classification, Confidence};
use std::net::IpAddr;

fn rules(policies: &str) -> Result<RuleSet, String> {
    let text = format!("[pack]\nid = \"p\"\nversion = \"1\"\n{policies}");
    let file = RuleText { file: "p.toml", text: &text, lists: &|_| Err("none".to_owned()) };
    compile(&[file]).map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn policy(when: &str, rest: &str) -> String {
    format!("[[policy]]\nid = \"a\"\nwhen = {{ {when} }}\n{rest}\n")
}

fn subject() -> Subject<'static> {
    Subject {
        at: Timestamp(1_700_000_000 * Timestamp::SECOND),
        stage: Stage::Whole,
        classes: Classification::Shadow.into(),
        confidence: Some(Confidence::Confirmed),
        severity: Severity::High,
        host: "mcp.vendor.example",
        port: 443,
        path: "/v1/mcp",
        client: IpAddr::from([10, 1, 2, 3]),
        user: Some("Ana"),
        direction: "outbound",
        signals: &[],
        mcp_client: Some("claude-code"),
        mcp_server: Some("Vendor Tools"),
        revisions: &["2025-11-25"],
        provider: &[],
        oauth: None,
        header_mismatch: false,
    }
}

fn call(tool: &str) -> Facet<'_> {
    Facet { dir: Some(Direction::ToServer), method: Some("tools/call"), tool: Some(tool), ..Facet::default() }
}

fn decided(rules: &RuleSet, subject: &Subject<'_>, facets: &[Facet<'_>]) -> (Action, String) {
    let decision = rules.policies().decide(subject, facets, || Decision::LOG);
    (decision.action, decision.policy.to_string())
}

#[test]
fn each_condition_says_yes_or_no_and_not_turns_it_round() {
    let groups = "[[group]]\nid = \"finance\"\nusers = [\"ana\"]\nclients = [\"192.0.2.0/24\"]\n";
    for (when, met) in [
        ("", true),
        ("classification = \"shadow\"", true),
        ("classification = [\"portal\", \"shadow\"]", true),
        ("classification = \"sanctioned\"", false),
        ("confidence = [\"confirmed\"]", true),
        ("confidence = \"likely\"", false),
        ("severity = \"high\"", true),
        ("severity = \"low\"", false),
        ("host = \"*.vendor.example\"", true),
        ("host = \"vendor.example\"", false),
        ("port = 443", true),
        ("port = [80, 8080]", false),
        ("path = \"/v1/*\"", true),
        ("path = \"/v1/MCP/\"", true),
        ("path = \"/mcp\"", false),
        ("uri = \"*.vendor.example/v1/mcp\"", true),
        ("uri = \"*.vendor.example\"", true),
        ("uri = \"mcp.vendor.example/other\"", false),
        ("method = \"tools/*\"", true),
        ("method = \"resources/read\"", false),
        ("tool = \"delete_*\"", true),
        ("tool = [\"read\", \"delete_file\"]", true),
        ("tool = \"DELETE_FILE\"", false),
        ("resource = \"*\"", false),
        ("prompt = \"*\"", false),
        ("mcp_client = \"Claude-*\"", true),
        ("mcp_server = \"vendor tools\"", true),
        ("revision = \"2025-*\"", true),
        ("revision = \"2026-*\"", false),
        ("user = \"ana\"", true),
        ("user = \"bob\"", false),
        ("group = \"finance\"", true),
        ("client = [\"10.0.0.0/8\"]", true),
        ("client = \"192.0.2.1\"", false),
        ("direction = \"outbound\"", true),
        ("direction = \"inbound\"", false),
        ("message = \"request\"", true),
        ("message = \"answer\"", false),
        ("arguments = { pointer = \"/path\", regex = \"^/etc/\" }", true),
        ("provider = \"tools.example\"", false),
        ("inner_tools_incomplete = true", false),
        ("header_mismatch = false", true),
        ("host = \"*.vendor.example\", tool = \"read\"", false),
        ("not = { tool = \"read\" }", true),
        ("not = { tool = \"delete_*\", user = \"bob\" }", true),
        ("not = { tool = \"delete_*\", user = \"ana\" }", false),
        ("not = { not = { user = \"ana\" } }", true),
    ] {
        let rules =
            rules(&format!("{groups}{}", policy(when, "action = \"block\""))).unwrap_or_else(|e| panic!("{when}: {e}"));
        let facet = Facet { arguments: &[0], ..call("delete_file") };
        let want = if met { Action::Block } else { Action::Log };
        assert_eq!(decided(&rules, &subject(), &[facet]).0, want, "{when}");
        if !when.is_empty() {
            let inverse = policy(&format!("not = {{ {when} }}"), "action = \"block\"");
            let inverse = self::rules(&format!("{groups}{inverse}")).unwrap();
            let want = if met { Action::Log } else { Action::Block };
            assert_eq!(decided(&inverse, &subject(), &[facet]).0, want, "not {when}");
        }
    }
}

#[test]
fn the_first_that_matches_decides_and_of_several_messages_the_gravest() {
    let rules = rules(concat!(
        "[[policy]]\nid = \"reads\"\nwhen = { tool = [\"read_*\"] }\naction = \"allow\"\n",
        "[[policy]]\nid = \"rest\"\nwhen = { method = \"tools/call\" }\naction = \"block\"\n",
        "[[policy]]\nid = \"never\"\nwhen = { tool = \"delete_x\" }\naction = \"log\"\n",
    ))
    .unwrap();
    let list = Facet { dir: Some(Direction::ToServer), method: Some("tools/list"), ..Facet::default() };
    for (facets, want) in [
        (vec![call("read_file")], (Action::Allow, "reads")),
        (vec![call("delete_x")], (Action::Block, "rest")),
        (vec![list], (Action::Log, "default")),
        (vec![], (Action::Log, "default")),
        (vec![call("read_file"), list, call("delete_x"), call("read_y")], (Action::Block, "rest")),
        (vec![call("read_file"), list], (Action::Log, "default")),
    ] {
        assert_eq!(decided(&rules, &subject(), &facets), (want.0, want.1.to_owned()));
    }
    let warnings = rules.policies().warnings(Timestamp(0));
    let [] = warnings.as_slice() else { panic!("{warnings:?}") };
}

#[test]
fn tools_that_a_program_calls_are_judged_like_the_one_that_takes_it() {
    let rules = rules(&policy("tool = \"delete_*\"", "action = \"block\"")).unwrap();
    let content = crate::Content { inner_tools: vec!["search".into(), "delete_all".into()], ..Default::default() };
    let mut facets = Vec::new();
    Facet::add(&mut facets, Direction::ToServer, Some("tools/call"), Some("code"), Some(&content));
    assert_eq!(decided(&rules, &subject(), &facets).0, Action::Block);
}

#[test]
fn a_hidden_tool_is_refused_when_it_is_called() {
    let rules = rules(&policy("tool = \"delete_*\"", "action = \"filter\"")).unwrap();
    assert_eq!(decided(&rules, &subject(), &[call("delete_x")]).0, Action::Block);
    assert!(rules.policies().needs().acts_on_answers);
}

#[test]
fn an_exception_that_has_expired_excuses_no_more_and_says_so() {
    let text = concat!(
        "[[policy]]\nid = \"trial\"\nwhen = { host = \"mcp.vendor.example\" }\naction = \"allow\"\n",
        "expires = 2023-11-14\nowner = \"ana\"\nreason = \"trial\"\nticket = \"SEC-7\"\n",
        "[[policy]]\nid = \"shadow\"\nwhen = { classification = \"shadow\" }\naction = \"block\"\n",
    );
    let rules = rules(text).unwrap();
    let at = |day: i64| Subject { at: Timestamp(day * 86_400 * Timestamp::SECOND), ..subject() };
    let decide = |day| rules.policies().decide(&at(day), &[], || Decision::LOG);
    assert_eq!((decide(19_674).action, decide(19_674).expired), (Action::Allow, None));
    let later = decide(19_675);
    assert_eq!((later.action, later.expired), (Action::Block, Some("trial".into())));
    let alone = self::rules(text.split_at(text.rfind("[[policy]]").unwrap()).0).unwrap();
    let later = alone.policies().decide(&at(19_675), &[], || Decision::LOG);
    assert_eq!((later.action, later.policy.as_str(), later.expired), (Action::Log, "default", Some("trial".into())));
    let warnings = rules.policies().warnings(at(19_675).at);
    assert!(warnings.iter().any(|(_, _, text)| text.contains("trial: expired on 2023-11-14")), "{warnings:?}");
}

#[test]
fn before_all_is_known_a_policy_matches_only_if_nothing_can_change_that() {
    let head = Subject { stage: Stage::Head, confidence: None, ..subject() };
    let connect = Subject { stage: Stage::Connect, ..head };
    for (when, at_connect, at_head) in [
        ("host = \"mcp.vendor.example\"", Some(true), Some(true)),
        ("host = \"other.example\"", Some(false), Some(false)),
        ("host = \"mcp.vendor.example\", user = \"ana\"", Some(true), Some(true)),
        ("host = \"mcp.vendor.example\", path = \"/v1/mcp\"", None, Some(true)),
        ("host = \"mcp.vendor.example\", path = \"/other\"", None, Some(false)),
        ("host = \"mcp.vendor.example\", tool = \"x\"", None, None),
        ("host = \"other.example\", tool = \"x\"", Some(false), Some(false)),
        // Nobody means all that a person ever sends.
        ("user = \"ana\"", None, None),
        ("path = \"/v1/mcp\"", None, None),
        ("user = \"bob\"", Some(false), Some(false)),
    ] {
        let rules = rules(&policy(when, "action = \"block\"")).unwrap();
        for (subject, want) in [(&connect, at_connect), (&head, at_head)] {
            let settled = rules.policies().settled(subject).is_some();
            let mut may = 0;
            rules.policies().possible(subject, |_| may += 1);
            assert_eq!(
                (settled, may),
                (want == Some(true), usize::from(want != Some(false))),
                "{when} {:?}",
                subject.stage
            );
        }
    }
}

#[test]
fn what_is_no_mcp_is_met_only_where_a_host_is_named() {
    let nothing = Subject { confidence: None, ..subject() };
    let alike = Subject { classes: Classification::LookAlike.into(), ..subject() };
    for (when, of_nothing, of_alike) in [
        ("host = \"mcp.vendor.example\"", Action::Block, Action::Log),
        ("uri = \"mcp.vendor.example/v1/*\"", Action::Block, Action::Log),
        ("path = \"/v1/mcp\"", Action::Log, Action::Log),
        ("user = \"ana\"", Action::Log, Action::Log),
        ("classification = [\"look_alike\"]", Action::Log, Action::Block),
    ] {
        let rules = rules(&policy(when, "action = \"block\"")).unwrap();
        assert_eq!(decided(&rules, &nothing, &[]).0, of_nothing, "{when}");
        assert_eq!(decided(&rules, &alike, &[]).0, of_alike, "{when}");
    }
}

#[test]
fn policies_that_can_never_match_are_warned_of() {
    let two = |first: &str, second: &str| {
        format!(
            "[[policy]]\nid = \"one\"\nwhen = {{ {first} }}\naction = \"block\"\n[[policy]]\nid = \"two\"\nwhen = {{ {second} }}\naction = \"allow\"\n"
        )
    };
    for (first, second, warns) in [
        ("tool = \"delete_*\"", "tool = \"delete_file\"", true),
        ("tool = \"delete_*\"", "tool = [\"delete_file\", \"read\"]", false),
        ("tool = \"delete_*\"", "tool = \"delete_file\", user = \"ana\"", true),
        ("tool = \"delete_*\", user = \"ana\"", "tool = \"delete_file\"", false),
        ("", "tool = \"x\"", true),
        ("classification = [\"shadow\", \"unknown\"]", "classification = \"shadow\"", true),
        ("not = { user = \"ana\" }", "user = \"bob\"", false),
        ("host = \"a.example\"", "host = \"a.example\"", true),
        // The first is about MCP only.
        ("confidence = \"confirmed\"", "host = \"a.example\"", false),
        ("host = \"b.example\"", "classification = \"shadow\", confidence = \"possible\"", true),
        ("host = \"b.example\"", "classification = \"unknown\", confidence = \"likely\"", true),
        ("host = \"b.example\"", "tool = \"x\", resource = \"y\"", true),
    ] {
        let rules = rules(&two(first, second)).unwrap();
        let warnings = rules.policies().warnings(Timestamp(0));
        assert_eq!(!warnings.is_empty(), warns, "{first} / {second}: {warnings:?}");
    }
}

#[test]
fn faults_name_the_place_and_what_would_do() {
    for (text, place, says) in [
        ("[[policy]]\nid = \"a\"\naction = \"blok\"\n", "p.toml:6:", "blok"),
        ("[[policy]]\nid = \"a\"\naction = \"redirect\"\n", "p.toml:6:10", "add redirect_to"),
        ("[[policy]]\nid = \"a\"\naction = \"redirect\"\nredirect_to = \"ftp://x\"\n", "p.toml:7:15", "https://"),
        (
            "[[policy]]\nid = \"a\"\naction = \"block\"\nredirect_to = \"https://x.example\"\n",
            "p.toml:7:15",
            "only `redirect`",
        ),
        ("[[policy]]\nid = \"a\"\naction = \"redact\"\n", "p.toml:6:10", "dlp ="),
        ("[[policy]]\nid = \"a\"\naction = \"filter\"\n", "p.toml:6:10", "tool ="),
        ("[[policy]]\nid = \"a\"\naction = \"log\"\nwhen = { hosts = \"x\" }\n", "p.toml:7:10", "unknown field"),
        (
            "[[policy]]\nid = \"a\"\naction = \"log\"\nwhen = { client = \"10.0.0.0/99\" }\n",
            "p.toml:7:19",
            "no network",
        ),
        (
            "[[policy]]\nid = \"a\"\naction = \"log\"\nwhen = { client = [\"10.0.0.1\", \"x\"] }\n",
            "p.toml:7:32",
            "no network",
        ),
        ("[[policy]]\nid = \"a\"\naction = \"log\"\nwhen = { group = \"nobody\" }\n", "p.toml:7:18", "[[group]]"),
        ("[[policy]]\nid = \"a\"\naction = \"log\"\nwhen = { dlp = \"nothing\" }\n", "p.toml:7:16", "no profile"),
        ("[[policy]]\nid = \"a\"\naction = \"log\"\nwhen = { signature = \"no.such\" }\n", "p.toml:7:22", "rules list"),
        ("[[policy]]\nid = \"a\"\naction = \"log\"\nwhen = { path = \"mcp\" }\n", "p.toml:7:17", "slash"),
        ("[[policy]]\nid = \"a\"\naction = \"log\"\nwhen = { tool = [] }\n", "p.toml:4:", "empty list"),
        (
            "[[policy]]\nid = \"a\"\naction = \"log\"\nwhen = { arguments = { pointer = \"x\", regex = \"y\" } }\n",
            "p.toml:7:34",
            "RFC 6901",
        ),
        (
            "[[policy]]\nid = \"a\"\naction = \"log\"\nwhen = { arguments = { pointer = \"/x\" } }\n",
            "p.toml:7:",
            "regex, in, above",
        ),
        (
            "[[policy]]\nid = \"a\"\naction = \"log\"\nwhen = { arguments = { pointer = \"/x\", regex = \"(\" } }\n",
            "p.toml:7:",
            "no expression",
        ),
        ("[[policy]]\nid = \"a\"\naction = \"log\"\n[[policy]]\nid = \"a\"\naction = \"log\"\n", "p.toml:8:6", "taken"),
        ("[[policy]]\nid = \"a\"\naction = \"log\"\nexpires = 10:00:00\n", "p.toml:7:11", "2027-01-31"),
    ] {
        let found = rules(text).expect_err(text);
        assert!(found.contains(place) && found.contains(says), "{text}\n{found}");
    }
}

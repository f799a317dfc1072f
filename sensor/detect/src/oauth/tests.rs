use super::*;
use crate::{RawScope, RawServer};
use net::Timestamp;
use proptest::prelude::*;

const IDE: &str = "10.1.2.3";

fn scope() -> Scope {
    let mut raw = RawScope::default();
    raw.sanctioned.servers = vec![RawServer::Name("good.example".into())];
    raw.denied.servers = vec![RawServer::Name("bad.example".into())];
    Scope::try_from(&raw).unwrap()
}

fn asker<'a>(client: &str, authority: &'a str, path: &'a str, seconds: i64) -> Asker<'a> {
    let now = Timestamp(seconds * Timestamp::SECOND);
    Asker { client: client.parse().unwrap(), authority, path, clear: false, now }
}

/// What the map says of a step, and what it learns of it.
fn step(map: &mut AuthorizationMap, asker: &Asker<'_>, seen: &OAuthSeen) -> Option<Authorization> {
    let found = map.find(&scope(), asker, seen);
    map.learn(&scope(), asker, seen, found.as_ref());
    found
}

fn challenge(shows_mcp: bool, metadata: Option<&str>) -> OAuthSeen {
    OAuthSeen { challenged: true, shows_mcp, metadata_url: metadata.map(Into::into), ..OAuthSeen::default() }
}

fn metadata(resource: &str, servers: &[&str]) -> OAuthSeen {
    let servers = servers.iter().map(|s| (*s).to_owned()).collect();
    let stage = Some(OAuthStage::Metadata);
    OAuthSeen { stage, metadata: Some((resource.into(), servers)), ..OAuthSeen::default() }
}

fn registration(name: &str, id: Option<&str>) -> OAuthSeen {
    OAuthSeen {
        stage: Some(OAuthStage::Registration),
        client_name: Some(name.into()),
        registered: id.map(ClientId::of),
        ..OAuthSeen::default()
    }
}

fn asks(stage: OAuthStage, id: &str, resources: &[&str]) -> OAuthSeen {
    let resources = resources.iter().map(|r| (*r).to_owned()).collect();
    OAuthSeen { stage: Some(stage), client: Some(ClientId::of(id)), resources, ..OAuthSeen::default() }
}

fn shown(found: Option<&Authorization>) -> Option<(&'static str, &str, &str, Option<&str>)> {
    found.map(|f| (f.stage.word(), f.resource(), &*f.server, f.client_name.as_deref()))
}

#[test]
fn a_trail_is_followed_from_the_challenge_to_the_token() {
    let mut map = AuthorizationMap::default();
    let place = "https://notes.example/.well-known/oauth-protected-resource";
    assert_eq!(step(&mut map, &asker(IDE, "notes.example", "/mcp", 0), &challenge(true, Some(place))), None);
    // The metadata name the whole host, as many do.
    let found = step(
        &mut map,
        &asker(IDE, "notes.example", "/.well-known/oauth-protected-resource", 1),
        &metadata("https://notes.example/", &["https://login.example/tenant"]),
    );
    assert_eq!(shown(found.as_ref()), Some(("metadata", "https://notes.example/mcp", "", None)));
    assert_eq!(map.servers_of("https://notes.example/mcp"), ["login.example".into()]);
    // The endpoints are elsewhere than the issuer.
    let endpoints = OAuthSeen {
        stage: Some(OAuthStage::Metadata),
        endpoints: vec!["register.login.example".into()],
        ..OAuthSeen::default()
    };
    assert_eq!(step(&mut map, &asker(IDE, "login.example", "/.well-known/openid-configuration", 2), &endpoints), None);
    let registers = asker(IDE, "register.login.example", "/clients", 3);
    let found = step(&mut map, &registers, &registration("Notes CLI", Some("client-17")));
    let want = ("registration", "https://notes.example/", "register.login.example", Some("Notes CLI"));
    assert_eq!(shown(found.as_ref()), Some(want));
    assert_eq!(found.unwrap().client_id.as_deref(), Some("client-17"));
    // Ids mean something to the server alone that gave them.
    let elsewhere = asker(IDE, "login.example", "/authorize", 4);
    assert_eq!(step(&mut map, &elsewhere, &asks(OAuthStage::Authorization, "client-17", &[])), None);
    for (stage, path) in [(OAuthStage::Authorization, "/authorize"), (OAuthStage::Token, "/token")] {
        // The browser, or another machine, may have another address.
        let found =
            step(&mut map, &asker("10.1.2.9", "register.login.example", path, 90_000), &asks(stage, "client-17", &[]));
        let want = (stage.word(), "https://notes.example/", "register.login.example", Some("Notes CLI"));
        assert_eq!(shown(found.as_ref()), Some(want));
    }
}

#[test]
fn ordinary_oauth_is_nobodys_business() {
    let mut map = AuthorizationMap::default();
    let login = "login.example";
    for (name, asker, seen) in [
        ("a service that wants a token", asker(IDE, "api.example", "/v1/users", 0), challenge(false, None)),
        (
            "a resource that is none of MCP",
            asker(IDE, "pds.example", "/xrpc/x", 0),
            challenge(false, Some("https://pds.example/.well-known/oauth-protected-resource")),
        ),
        (
            "its metadata",
            asker(IDE, "pds.example", "/.well-known/oauth-protected-resource", 1),
            metadata("https://pds.example", &["https://login.example"]),
        ),
        ("a registration", asker(IDE, login, "/register", 2), registration("App", Some("app"))),
        ("a login", asker(IDE, login, "/authorize", 3), asks(OAuthStage::Authorization, "app", &[])),
        (
            "a login for a resource of another kind",
            asker(IDE, login, "/authorize", 3),
            asks(OAuthStage::Authorization, "app", &["https://graph.example/", "urn://x"]),
        ),
        ("a token", asker(IDE, login, "/token", 4), asks(OAuthStage::Token, "app", &["https://graph.example"])),
    ] {
        assert_eq!(step(&mut map, &asker, &seen), None, "{name}");
        assert_eq!(map.lens(), [0; 4], "{name}");
    }
    // Nor is that of others at an authorisation server that an MCP server uses, too.
    step(&mut map, &asker(IDE, "notes.example", "/mcp", 10), &challenge(true, None));
    step(
        &mut map,
        &asker(IDE, "notes.example", "/.well-known/oauth-protected-resource/mcp", 10),
        &metadata("https://notes.example/mcp", &["https://login.example"]),
    );
    assert_eq!(
        step(&mut map, &asker(IDE, login, "/authorize", 11), &asks(OAuthStage::Authorization, "app", &[])),
        None
    );
    assert_eq!(step(&mut map, &asker(IDE, login, "/token", 11), &asks(OAuthStage::Token, "app", &[])), None);
    let about = OAuthSeen { stage: Some(OAuthStage::Metadata), ..OAuthSeen::default() };
    assert_eq!(step(&mut map, &asker(IDE, login, "/.well-known/openid-configuration", 11), &about), None);
    assert_eq!(step(&mut map, &asker("10.1.2.4", login, "/register", 11), &registration("App", None)), None, "another");
    assert_eq!(step(&mut map, &asker(IDE, login, "/register", 700), &registration("App", None)), None, "much later");
    assert!(step(&mut map, &asker(IDE, login, "/register", 600), &registration("App", None)).is_some());
}

#[test]
fn a_resource_counts_that_is_of_mcp_by_its_path_the_configuration_or_the_map() {
    use Classification::{Denied, Sanctioned, Shadow, Unknown};
    let mut map = AuthorizationMap::default();
    step(&mut map, &asker(IDE, "root.example", "/", 0), &challenge(true, None));
    for (resources, want) in [
        (&["https://notes.example/mcp"][..], Some(("https://notes.example/mcp", Unknown))),
        (&["https://root.example"], Some(("https://root.example", Shadow))),
        (&["https://ROOT.example:443/v1/x"], Some(("https://ROOT.example:443/v1/x", Shadow))),
        (&["https://good.example/"], Some(("https://good.example/", Sanctioned))),
        (&["https://bad.example/"], Some(("https://bad.example/", Denied))),
        (&["https://good.example/", "https://bad.example/"], Some(("https://bad.example/", Denied))),
        (&["https://good.example/", "https://notes.example/mcp"], Some(("https://notes.example/mcp", Shadow))),
        (&["https://other.example/"], None),
        (&["https://root.example.evil.net/"], None),
        (&[], None),
    ] {
        let found = map.find(&scope(), &asker(IDE, "login.example", "/t", 1), &asks(OAuthStage::Token, "x", resources));
        let is = found.as_ref().map(|f| (f.resource(), f.classification(&scope(), IDE.parse().unwrap(), f.confidence)));
        assert_eq!(is, want, "{resources:?}");
    }
}

#[test]
fn nobody_speaks_for_the_resources_of_others() {
    let mut map = AuthorizationMap::default();
    let path = "/.well-known/oauth-protected-resource/mcp";
    step(
        &mut map,
        &asker(IDE, "evil.example", path, 0),
        &metadata("https://notes.example/mcp", &["https://a.example"]),
    );
    assert_eq!(map.lens(), [0; 4]);
    step(
        &mut map,
        &asker(IDE, "notes.example", path, 0),
        &metadata("https://notes.example/mcp", &["https://a.example"]),
    );
    assert_eq!(map.lens(), [1, 0, 1, 0]);
}

#[test]
fn a_question_for_metadata_is_for_the_resource_in_its_path() {
    let map = AuthorizationMap::default();
    let seen = OAuthSeen { stage: Some(OAuthStage::Metadata), shows_mcp: true, ..OAuthSeen::default() };
    for (path, want) in [
        ("/.well-known/oauth-protected-resource/mcp", "https://notes.example/mcp"),
        ("/.well-known/oauth-protected-resource", "https://notes.example"),
        ("/mcp/.well-known/openid-configuration", "https://notes.example/mcp"),
        ("/.well-known/oauth-authorization-server/v1/mcp?x=1", "https://notes.example/v1/mcp"),
    ] {
        let found = map.find(&scope(), &asker(IDE, "notes.example", path, 0), &seen).unwrap();
        assert_eq!((found.resource(), found.confidence), (want, Confidence::Possible), "{path}");
    }
}

#[test]
fn what_was_not_used_for_longest_is_forgotten_and_counted() {
    let mut map = AuthorizationMap::default();
    let mut forgotten = 0;
    let registers = |map: &mut AuthorizationMap, n: usize| {
        let host = format!("h{n}.example");
        map.learn(
            &scope(),
            &asker(IDE, &host, "/mcp", 0),
            &challenge(true, Some(&format!("https://{host}/.well-known/m"))),
            None,
        )
    };
    let all = 3 * MAX_LINKS;
    for n in 0..all {
        forgotten += registers(&mut map, n);
        if n % 100 == 0 {
            forgotten += registers(&mut map, 0);
        }
    }
    let lens = map.lens();
    assert!(lens.iter().all(|len| *len <= MAX_LINKS), "{lens:?}");
    assert_eq!(forgotten, 3 * all as u64 - lens.iter().sum::<usize>() as u64);
    let kept = |n: usize| map.known(&format!("h{n}.example/mcp")).is_some();
    assert!(kept(0) && kept(all - 1) && kept(all - MAX_LINKS / 2) && !kept(1));
}

proptest! {
    #[test]
    fn whatever_is_said_every_table_stays_within_its_limit_and_nothing_panics(
        steps in proptest::collection::vec((0_u8..5, "\\PC{0,40}", "\\PC{0,40}", 0_i64..2000), 0..60)
    ) {
        let mut map = AuthorizationMap::default();
        for (kind, authority, text, seconds) in steps {
            let seen = match kind {
                0 => challenge(true, Some(&text)),
                1 => metadata(&text, &[&authority]),
                2 => registration(&text, Some(&authority)),
                3 => asks(OAuthStage::Token, &text, &[&authority]),
                _ => OAuthSeen { stage: Some(OAuthStage::Metadata), endpoints: vec![text.clone()], shows_mcp: true, ..OAuthSeen::default() },
            };
            let found = step(&mut map, &asker(IDE, &authority, &text, seconds), &seen);
            prop_assert!(found.is_none_or(|found| !found.resources.is_empty()));
        }
        prop_assert!(map.lens().iter().all(|len| *len <= MAX_LINKS));
    }
}

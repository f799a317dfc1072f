//! What can be read in two ways, heads over limits, and requests for somebody else.

use super::*;

/// A last request, after which the connection ends.
const LAST: &[u8] = b"GET /last HTTP/1.1\r\nHost: origin.example\r\nConnection: close\r\n\r\n";

/// What a raw client gets back, and what an origin saw: heads with bodies, as text. `gone` for a client that does not
/// wait for an answer.
async fn raw(sent: &[u8], gone: bool) -> (String, Vec<String>) {
    let Between { mut client, origin, over, .. } = between(Protocol::Http1, &Wish::default());
    let saw = Rc::new(RefCell::new(Vec::new()));
    let keep = Rc::clone(&saw);
    super::origin(origin, Protocol::Http1, move |request| {
        let keep = Rc::clone(&keep);
        async move {
            let (parts, body) = request.into_parts();
            let framed = ["content-length", "transfer-encoding"].map(|name| {
                let values: Vec<_> =
                    parts.headers.get_all(name).iter().map(|v| v.to_str().unwrap().to_owned()).collect();
                values.join("&")
            });
            let body = body.collect().await.map(http_body_util::Collected::to_bytes);
            keep.borrow_mut().push(format!("{} {} {framed:?} {body:?}", parts.method, parts.uri));
            Response::new(full("ok"))
        }
    });
    // What was refused is not read to its end.
    drop(client.write_all(sent).await);
    if gone {
        client.shutdown().await.unwrap();
    } else {
        drop(client.write_all(LAST).await);
    }
    let mut got = Vec::new();
    // It may be reset once all that matters was read.
    drop(client.read_to_end(&mut got).await);
    drop(over.await);
    let saw = saw.take().into_iter().filter(|saw| !saw.starts_with("GET /last ")).collect();
    (String::from_utf8_lossy(&got).into_owned(), saw)
}

/// Fields of a request with the rest of it.
fn post(rest: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nHost: origin.example\r\n{rest}").into_bytes()
}

#[test]
fn what_can_be_read_in_two_ways_is_refused_and_the_connection_closed() {
    for (what, sent) in [
        ("two lengths", post("Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd")),
        ("a list of lengths", post("Content-Length: 3, 4\r\n\r\nabcd")),
        ("a signed length", post("Content-Length: +3\r\n\r\nabc")),
        ("a length that is no number", post("Content-Length: 0x3\r\n\r\nabc")),
        ("a length beyond 64 bits", post("Content-Length: 18446744073709551617\r\n\r\nabc")),
        ("another coding", post("Transfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")),
        ("chunked and identity", post("Transfer-Encoding: chunked, identity\r\n\r\n3\r\nabc\r\n0\r\n\r\n")),
        ("chunked twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
        ("an unknown coding", post("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n")),
        ("space before the colon", post("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n")),
        ("a vertical tab in a coding", post("Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n")),
        (
            "chunked in HTTP/1.0",
            b"POST / HTTP/1.0\r\nHost: origin.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_vec(),
        ),
        ("a folded field", post("X-A: b\r\n c\r\nContent-Length: 0\r\n\r\n")),
        ("a bare CR in a field", post("X-A: b\rTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n")),
        ("a NUL in a field", post("X-A: b\0c\r\nContent-Length: 0\r\n\r\n")),
        ("a NUL in a name", post("X\0A: b\r\nContent-Length: 0\r\n\r\n")),
        ("no Host", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("two Hosts", b"GET / HTTP/1.1\r\nHost: origin.example\r\nHost: origin.example\r\n\r\n".to_vec()),
        ("space in the target", b"GET /a b HTTP/1.1\r\nHost: origin.example\r\n\r\n".to_vec()),
        ("an unknown version", b"GET / HTTP/3.0\r\nHost: origin.example\r\n\r\n".to_vec()),
        ("CONNECT", b"CONNECT origin.example:443 HTTP/1.1\r\nHost: origin.example\r\n\r\n".to_vec()),
    ] {
        let mut twice = sent.clone();
        twice.extend_from_slice(b"GET /smuggled HTTP/1.1\r\nHost: origin.example\r\n\r\n");
        let (got, saw) = run(raw(&twice, false));
        assert!(got.starts_with("HTTP/1.1 400 ") || got.starts_with("HTTP/1.0 400 "), "{what}: {got}");
        assert_eq!(got.matches("HTTP/1.").count(), 1, "{what}: {got}");
        assert_eq!(saw, [""; 0], "{what}");
    }
}

#[test]
fn what_is_odd_but_clear_reaches_the_origin_as_one_plain_request() {
    for (what, sent, want) in [
        ("the same length twice", post("Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"), r#"["3", ""] Ok(b"abc")"#),
        (
            "a length beside chunks",
            post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
            r#"["", "chunked"] Ok(b"abc")"#,
        ),
        (
            "chunks beside a length",
            post("Transfer-Encoding: CHUNKED\r\nContent-Length: 4\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
            r#"["", "CHUNKED"] Ok(b"abc")"#,
        ),
        (
            "chunk extensions and zeros",
            post("Transfer-Encoding: chunked\r\n\r\n0003;a=b;c=\"d\"\r\nabc\r\n0;x\r\n\r\n"),
            r#"["", "chunked"] Ok(b"abc")"#,
        ),
    ] {
        let (got, saw) = run(raw(&sent, false));
        assert!(got.starts_with("HTTP/1.1 200 "), "{what}: {got}");
        assert_eq!(saw, [format!("POST / {want}")], "{what}");
    }
}

#[test]
fn chunks_that_are_none_break_the_request_off() {
    for (what, body) in [
        ("a size that is no number", "3x\r\nabc\r\n0\r\n\r\n"),
        ("a signed size", "+3\r\nabc\r\n0\r\n\r\n"),
        ("a size beyond 64 bits", "10000000000000003\r\nabc\r\n0\r\n\r\n"),
        ("more than the size", "3\r\nabcd\r\n0\r\n\r\n"),
        ("a bare LF behind the size", "3\nabc\r\n0\r\n\r\n"),
        ("no end", "3\r\nabc\r\n"),
    ] {
        let mut sent = post("Transfer-Encoding: chunked\r\n\r\n");
        sent.extend_from_slice(body.as_bytes());
        let (_, saw) = run(raw(&sent, true));
        assert!(saw.iter().all(|saw| saw.contains("Err")), "{what}: {saw:?}");
    }
}

#[test]
fn heads_over_the_limits_are_refused_as_such() {
    for (what, sent, want) in [
        ("a long field", post(&format!("X-A: {}\r\n\r\n", "a".repeat(70_000))), "431"),
        ("many fields", post(&format!("{}\r\n", "X-A: b\r\n".repeat(250))), "431"),
        (
            "a long target",
            format!("GET /{} HTTP/1.1\r\nHost: origin.example\r\n\r\n", "a".repeat(66_000)).into_bytes(),
            "4",
        ),
    ] {
        let (got, saw) = run(raw(&sent, false));
        assert!(got.starts_with(&format!("HTTP/1.1 {want}")), "{what}: {got}");
        assert_eq!(saw, [""; 0], "{what}");
    }
    let (got, _) =
        run(raw(format!("GET /{} HTTP/1.1\r\nHost: origin.example\r\n\r\n", "a".repeat(16 << 10)).as_bytes(), false));
    assert!(got.starts_with("HTTP/1.1 200 "), "{got}");
}

#[test]
fn a_request_for_another_host_is_misdirected() {
    for (host, want) in [
        ("origin.example", "200"),
        ("ORIGIN.example.", "200"),
        ("origin.example:443", "200"),
        ("origin.example:8443", "421"),
        ("other.example", "421"),
        ("origin.example@other.example", "421"),
        ("origin.example.evil", "421"),
        ("", "421"),
    ] {
        let (got, saw) =
            run(raw(format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes(), false));
        assert!(got.starts_with(&format!("HTTP/1.1 {want} ")), "{host}: {got}");
        assert_eq!(saw.len(), usize::from(want == "200"), "{host}");
    }
    let (got, saw) = run(raw(b"GET https://origin.example/x?y HTTP/1.1\r\nHost: lie.example\r\n\r\n", false));
    assert!(got.starts_with("HTTP/1.1 200 "), "{got}");
    assert!(saw[0].starts_with("GET /x?y "), "{saw:?}");
    let (got, _) = run(raw(b"GET https://other.example/ HTTP/1.1\r\nHost: origin.example\r\n\r\n", false));
    assert!(got.starts_with("HTTP/1.1 421 "), "{got}");
}

#[test]
fn fields_of_one_connection_stay_on_it() {
    run(async {
        let Between { mut client, mut origin, .. } = between(Protocol::Http1, &Wish::default());
        client
            .write_all(
                b"GET / HTTP/1.1\r\nHost: origin.example\r\nConnection: keep-alive, X-Mine, host\r\nX-Mine: 1\r\nKeep-Alive: 3\r\n\
                  Proxy-Authorization: Basic c2VjcmV0\r\nProxy-Connection: keep-alive\r\nTE: gzip\r\nUpgrade: h2c\r\n\
                  HTTP2-Settings: x\r\nX-Kept: yes\r\n\r\n",
            )
            .await
            .unwrap();
        let mut io = origin.recv().await.unwrap();
        let mut head = vec![0; 4096];
        let n = io.read(&mut head).await.unwrap();
        let head = String::from_utf8(head[..n].to_vec()).unwrap().to_lowercase();
        for gone in ["connection", "x-mine", "keep-alive", "proxy-", "te:", "upgrade", "http2-settings"] {
            assert!(!head.contains(gone), "{gone} in {head}");
        }
        assert!(
            head.contains("x-kept: yes\r\n") && head.contains("host: origin.example\r\n") && head.contains("via: 1.1 ")
        );
        io.write_all(
            b"HTTP/1.1 200 Fine\r\nConnection: x-his\r\nX-His: 1\r\nKeep-Alive: 1\r\nProxy-Authenticate: Basic\r\n\
              Strict-Transport-Security: max-age=1\r\nAlt-Svc: h3=\":443\"; ma=1,h2=\"a,b:443\",h3-29=\":443\"\r\n\
              Content-Length: 2\r\n\r\nok",
        )
        .await
        .unwrap();
        let mut got = vec![0; 4096];
        let mut n = 0;
        while !got[..n].ends_with(b"\r\n\r\nok") {
            n += client.read(&mut got[n..]).await.unwrap();
        }
        let got = String::from_utf8(got[..n].to_vec()).unwrap();
        assert!(got.starts_with("HTTP/1.1 200 Fine\r\n"), "{got}");
        for gone in ["x-his", "keep-alive", "proxy-authenticate", "h3"] {
            assert!(!got.contains(gone), "{gone} in {got}");
        }
        assert!(
            got.contains("strict-transport-security: max-age=1\r\n") && got.contains("alt-svc: h2=\"a,b:443\"\r\n"),
            "{got}"
        );
    });
}

#[test]
fn answers_with_odd_framing_are_not_passed_on() {
    for (what, sent, want) in [
        ("another coding", &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"[..], "502"),
        ("two lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "502"),
        ("no answer", b"SSH-2.0-x\r\n\r\n", "502"),
        ("switching unasked", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "502"),
        (
            "chunks beside a length",
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            "200",
        ),
        ("to the end of the connection", b"HTTP/1.0 200 OK\r\n\r\nok", "200"),
        (
            "an interim answer first",
            b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "200",
        ),
    ] {
        run(async {
            let Between { client, mut origin, .. } = between(Protocol::Http1, &Wish::default());
            let sent = sent.to_vec();
            tokio::task::spawn_local(async move {
                let mut io = origin.recv().await.unwrap();
                let mut head = [0; 1024];
                assert!(io.read(&mut head).await.unwrap() > 0);
                io.write_all(&sent).await.unwrap();
            });
            let client = Client::new(client, Protocol::Http1).await;
            let answer = client.send(Request::get("/").body(empty()).unwrap()).await.unwrap();
            assert_eq!(answer.status().as_str(), want, "{what}");
            if want == "200" {
                assert_eq!(collected(answer.into_body()).await.0, "ok", "{what}");
            }
        });
    }
}

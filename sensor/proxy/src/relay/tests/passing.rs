//! What passes, and that it is the same on the other side.

use super::*;
use http::StatusCode;

#[test]
fn a_request_and_its_answer_are_the_same_on_the_other_side() {
    for protocol in BOTH {
        run(async {
            let seen = Rc::new(RefCell::new(None));
            let keep = Rc::clone(&seen);
            let (client, thread) = through(protocol, &Wish::default(), move |request| {
                let keep = Rc::clone(&keep);
                async move {
                    let (parts, body) = request.into_parts();
                    let body = collected(body).await.0;
                    *keep.borrow_mut() = Some((parts, body));
                    Response::builder()
                        .status(202)
                        .header("x-answer", "a")
                        .header("x-answer", "b")
                        .body(full("pong"))
                        .unwrap()
                }
            })
            .await;
            let request = Request::post("/there?q=%20x")
                .header("x-b", "1")
                .header("authorization", "Bearer t")
                .header("x-b", "2")
                .header("te", "trailers")
                .body(full("ping"))
                .unwrap();
            let answer = client.send(request).await.unwrap();
            assert_eq!(answer.status(), StatusCode::ACCEPTED);
            let all: Vec<_> = answer.headers().get_all("x-answer").iter().collect();
            assert_eq!(all, ["a", "b"]);
            assert_eq!(answer.headers().get("content-length").unwrap(), "4");
            assert!(!answer.headers().contains_key("date"), "what the origin did not say is not added");
            assert_eq!(collected(answer.into_body()).await.0, "pong");
            let (parts, body) = seen.take().unwrap();
            assert_eq!((parts.method.as_str(), body.as_ref()), ("POST", &b"ping"[..]));
            assert_eq!(parts.uri.path_and_query().unwrap(), "/there?q=%20x");
            let all: Vec<_> = parts.headers.get_all("x-b").iter().collect();
            assert_eq!(all, ["1", "2"]);
            assert_eq!(parts.headers.get("authorization").unwrap(), "Bearer t");
            assert_eq!(parts.headers.get("content-length").unwrap(), "4");
            assert_eq!(parts.headers.get("te").unwrap(), "trailers");
            assert_eq!(thread.shared.counters.totals().words.get(&("requests", "202")), Some(&1));
            assert_eq!(thread.shared.counters.totals().latency.buckets.iter().sum::<u64>(), 1);
        });
    }
}

#[test]
fn answers_without_a_body_keep_what_their_head_says() {
    for protocol in BOTH {
        run(async {
            let (client, _) = through(protocol, &Wish::default(), |request| async move {
                let status = request.uri().path().trim_matches('/').parse().unwrap();
                let builder = Response::builder().status::<u16>(status).header("etag", "\"1\"");
                let length = if status == 204 { builder } else { builder.header("content-length", "1000") };
                length.body(empty()).unwrap()
            })
            .await;
            for (method, path, length) in [
                ("HEAD", "/200", Some("1000")),
                ("GET", "/204", None),
                ("GET", "/304", Some("1000")),
                ("HEAD", "/404", Some("1000")),
            ] {
                let answer =
                    client.send(Request::builder().method(method).uri(path).body(empty()).unwrap()).await.unwrap();
                assert_eq!(answer.status().as_str(), path.trim_matches('/'));
                assert_eq!(answer.headers().get("etag").unwrap(), "\"1\"");
                // The tests' own origin drops it from 304 over HTTP/1, as the library does.
                if !(path == "/304" && protocol == Protocol::Http1) {
                    assert_eq!(
                        answer.headers().get("content-length").map(|v| v.to_str().unwrap()),
                        length,
                        "{method} {path}"
                    );
                }
                assert_eq!(collected(answer.into_body()).await.0, "");
            }
        });
    }
}

#[test]
fn many_requests_go_over_one_connection_and_a_closed_one_is_made_again() {
    for protocol in BOTH {
        run(async {
            let Between { client, mut origin, .. } = between(protocol, &Wish::default());
            let (passed, dialed) = mpsc::unbounded_channel();
            let dials = Rc::new(Cell::new(0));
            let count = Rc::clone(&dials);
            tokio::task::spawn_local(async move {
                while let Some(io) = origin.recv().await {
                    count.set(count.get() + 1);
                    passed.send(io).unwrap();
                }
            });
            super::origin(dialed, protocol, |request| async move {
                let last = request.uri().path() == "/last" && request.version() == Version::HTTP_11;
                let builder = Response::builder();
                let builder = if last { builder.header("connection", "close") } else { builder };
                builder.body(full("x")).unwrap()
            });
            let client = Client::new(client, protocol).await;
            for path in ["/", "/", "/last", "/", "/"] {
                let answer = client.send(Request::get(path).body(empty()).unwrap()).await.unwrap();
                assert_eq!(answer.status(), 200);
                assert!(!answer.headers().contains_key("connection"), "it is not the client's");
                collected(answer.into_body()).await;
            }
            assert_eq!(dials.get(), if protocol == Protocol::Http1 { 2 } else { 1 });
        });
    }
}

#[test]
fn a_request_that_came_through_before_is_refused() {
    run(async {
        let via = Rc::new(RefCell::new(None));
        let keep = Rc::clone(&via);
        let (client, _) = through(Protocol::Http1, &Wish::default(), move |request| {
            *keep.borrow_mut() = request.headers().get("via").cloned();
            async { Response::new(empty()) }
        })
        .await;
        client.send(Request::get("/").body(empty()).unwrap()).await.unwrap();
        let via = via.take().unwrap();
        let again = client.send(Request::get("/").header("via", via).body(empty()).unwrap()).await.unwrap();
        assert_eq!(again.status(), StatusCode::LOOP_DETECTED);
        let other = client.send(Request::get("/").header("via", "1.1 other").body(empty()).unwrap()).await.unwrap();
        assert_eq!(other.status(), StatusCode::OK);
    });
}

#[test]
fn server_sent_events_pass_one_by_one_and_at_once() {
    for protocol in BOTH {
        run(async {
            let (feed, body) = fed();
            let body = Cell::new(Some(body));
            let (client, _) = through(protocol, &Wish::default(), move |_| {
                let body = body.take().unwrap();
                async { Response::builder().header("content-type", "text/event-stream").body(body).unwrap() }
            })
            .await;
            let mut answer = client.send(Request::get("/").body(empty()).unwrap()).await.unwrap().into_body();
            let mut late = Vec::new();
            for n in 0..500 {
                let event = format!("data: {n}\n\n");
                let sent = tokio::time::Instant::now();
                feed.send(data(event.clone())).await.unwrap();
                let frame = answer.frame().await.unwrap().unwrap().into_data().unwrap();
                late.push(sent.elapsed());
                assert_eq!(frame, event, "events are not joined, nor cut");
            }
            late.sort();
            assert!(late[250] < Duration::from_millis(20), "{:?}", late[250]);
        });
    }
}

#[test]
fn trailers_pass_both_ways() {
    for protocol in BOTH {
        run(async {
            let (client, _) = through(protocol, &Wish::default(), |request| async move {
                let (body, trailers) = collected(request.into_body()).await;
                let (feed, answer) = fed();
                tokio::task::spawn_local(async move {
                    feed.send(data(body)).await.unwrap();
                    feed.send(Ok(Frame::trailers(trailers.unwrap()))).await.unwrap();
                });
                Response::builder().header("trailer", "x-sum").body(answer).unwrap()
            })
            .await;
            let (feed, body) = fed();
            tokio::task::spawn_local(async move {
                feed.send(data("abc")).await.unwrap();
                let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "6".parse().unwrap())]);
                feed.send(Ok(Frame::trailers(trailers))).await.unwrap();
            });
            let request = Request::post("/").header("te", "trailers").header("trailer", "x-sum").body(body).unwrap();
            let (body, trailers) = collected(client.send(request).await.unwrap().into_body()).await;
            assert_eq!(body, "abc");
            assert_eq!(trailers.unwrap().get("x-sum").unwrap(), "6");
        });
    }
}

#[test]
fn both_directions_of_a_stream_flow_at_once() {
    run(async {
        let (client, _) = through(Protocol::Http2, &Wish::default(), |request| async move {
            let (feed, answer) = fed();
            let mut body = request.into_body();
            tokio::task::spawn_local(async move {
                while let Some(Ok(frame)) = body.frame().await {
                    feed.send(Ok(frame)).await.unwrap();
                }
            });
            Response::builder().header("content-type", "application/grpc").body(answer).unwrap()
        })
        .await;
        let (feed, body) = fed();
        let mut answer = client.send(Request::post("/s/m").body(body).unwrap()).await.unwrap().into_body();
        for n in 0..100_u8 {
            feed.send(data(vec![n; 100])).await.unwrap();
            assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), vec![n; 100]);
        }
        drop(feed);
        assert_eq!(collected(answer).await.0, "");
    });
}

#[test]
fn a_request_of_which_nothing_was_sent_is_sent_again() {
    for protocol in BOTH {
        run(async {
            let Between { client, mut origin, .. } = between(protocol, &Wish::default());
            let (passed, dialed) = mpsc::unbounded_channel();
            tokio::task::spawn_local(async move {
                // The first connection is closed before anything comes on it.
                drop(origin.recv().await);
                while let Some(io) = origin.recv().await {
                    passed.send(io).unwrap();
                }
            });
            super::origin(dialed, protocol, |request| async {
                Response::new(full(collected(request.into_body()).await.0))
            });
            let client = Client::new(client, protocol).await;
            let answer = client.send(Request::post("/").body(full("once")).unwrap()).await.unwrap();
            let status = answer.status();
            let body = collected(answer.into_body()).await.0;
            match protocol {
                Protocol::Http1 => assert_eq!((status, body), (StatusCode::OK, "once".into())),
                // There the preface may have been written already.
                Protocol::Http2 => assert!(status == StatusCode::OK || status == StatusCode::BAD_GATEWAY, "{status}"),
            }
        });
    }
}

#[test]
fn a_connection_that_must_not_be_made_is_never_made_and_told_in_band() {
    run(async {
        let thread = thread(&Wish::default());
        let (client, down) = duplex(PIPE);
        let failure = crate::failure::Failure::Timeout("origin.example".to_owned());
        let up = crate::relay::Up::Never(failure);
        let down = DownIo::memory(down, &thread);
        tokio::task::spawn_local(crate::relay::serve(conn(&thread), down, Protocol::Http1, up));
        let client = Client::new(client, Protocol::Http1).await;
        for (script, want) in [("none", StatusCode::GATEWAY_TIMEOUT), ("stop", StatusCode::FORBIDDEN)] {
            let request = Request::post("/").header("x-script", script).body(full("{}")).unwrap();
            let answer = client.send(request).await.unwrap();
            assert_eq!(answer.status(), want);
            collected(answer.into_body()).await;
        }
    });
}

#[test]
fn a_request_that_may_go_no_further_ends_here() {
    run(async {
        let (client, _) = through(Protocol::Http1, &Wish::default(), |request| async move {
            Response::builder().header("left", &request.headers()["max-forwards"]).body(empty()).unwrap()
        })
        .await;
        let ask = |left| Request::options("/").header("max-forwards", left).body(empty()).unwrap();
        let answer = client.send(ask("2")).await.unwrap();
        assert_eq!(answer.headers()["left"], "1");
        let answer = client.send(ask("0")).await.unwrap();
        assert!(answer.status() == StatusCode::OK && !answer.headers().contains_key("left"));
    });
}

#[test]
fn a_websocket_is_agreed_to_and_its_bytes_pass_unchanged() {
    run(async {
        let Between { mut client, mut origin, .. } = between(Protocol::Http1, &Wish::default());
        client
            .write_all(
                b"GET /ws HTTP/1.1\r\nHost: origin.example\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
            )
            .await
            .unwrap();
        let mut io = origin.recv().await.unwrap();
        let mut head = vec![0; 4096];
        let n = io.read(&mut head).await.unwrap();
        let head = String::from_utf8(head[..n].to_vec()).unwrap().to_lowercase();
        assert!(head.contains("connection: upgrade\r\n") && head.contains("upgrade: websocket\r\n"), "{head}");
        io.write_all(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
              Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x02hi",
        )
        .await
        .unwrap();
        let mut got = Vec::new();
        while !got.ends_with(b"\x81\x02hi") {
            let mut byte = [0];
            client.read_exact(&mut byte).await.unwrap();
            got.push(byte[0]);
        }
        assert!(got.starts_with(b"HTTP/1.1 101 "));
        client.write_all(b"\x81\x82\x00\x00\x00\x00yo").await.unwrap();
        let mut frame = [0; 8];
        io.read_exact(&mut frame).await.unwrap();
        assert_eq!(&frame, b"\x81\x82\x00\x00\x00\x00yo");
    });
}

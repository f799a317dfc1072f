//! Requests and answers that wait for a verdict.

use super::super::exchange::Exchange;
use super::*;
use http::StatusCode;

/// An origin that keeps what it got and echoes it.
async fn echo(protocol: Protocol, wish: &Wish) -> (Client, Rc<Thread>, Rc<RefCell<Vec<Result<Bytes, ()>>>>) {
    let got = Rc::new(RefCell::new(Vec::new()));
    let keep = Rc::clone(&got);
    let (client, thread) = through(protocol, wish, move |request| {
        let keep = Rc::clone(&keep);
        async move {
            let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).map_err(drop);
            keep.borrow_mut().push(body.clone());
            Response::new(full(body.unwrap_or_default()))
        }
    })
    .await;
    ENDS.take();
    (client, thread, got)
}

fn post(script: &str, body: Any) -> Request<Any> {
    Request::post("/").header("x-script", script).header("accept", "application/json").body(body).unwrap()
}

/// Sends pieces one after the other, and waits each time until the proxy took it.
fn in_pieces(pieces: &[&'static str]) -> Any {
    let (feed, body) = fed();
    let pieces: Vec<_> = pieces.iter().map(ToString::to_string).collect();
    tokio::task::spawn_local(async move {
        for piece in pieces {
            if feed.send(data(piece)).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
    });
    body
}

#[test]
fn a_message_that_comes_byte_by_byte_is_held_to_its_end_and_passes_unchanged() {
    for protocol in BOTH {
        run(async {
            let (client, thread, got) = echo(protocol, &Wish::default()).await;
            let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"a":[1,2]}}"#;
            let (feed, sent) = fed();
            let answer = tokio::task::spawn_local({
                let client = client.clone();
                async move { client.send(post("hold", sent)).await.unwrap() }
            });
            for byte in body.bytes() {
                assert!(got.borrow().is_empty());
                feed.send(data(vec![byte])).await.unwrap();
            }
            // The verdict falls with the brace that closes it, not with the end of the body.
            drop(feed);
            let answer = answer.await.unwrap();
            assert_eq!(collected(answer.into_body()).await.0, body);
            assert_eq!(*got.borrow(), [Ok(Bytes::from(body))]);
            assert_eq!(thread.shared.held.load(std::sync::atomic::Ordering::Relaxed), 0);
            until("all of it is over", || ENDS.with_borrow(|ends| ends.len() == 2)).await;
            assert_eq!(
                ENDS.take(),
                [(Direction::ToServer, EndKind::Complete), (Direction::ToClient, EndKind::Complete)],
                "each end is told once"
            );
        });
    }
}

#[test]
fn the_head_goes_on_with_the_byte_that_closes_a_message_while_the_stream_stays_open() {
    run(async {
        let (client, _) = through(Protocol::Http2, &Wish::default(), |request| async move {
            let first = request.into_body().frame().await.unwrap().unwrap().into_data().unwrap();
            Response::new(full(first))
        })
        .await;
        let (feed, body) = fed();
        feed.send(data("{}")).await.unwrap();
        let answer = client.send(post("hold", body)).await.unwrap();
        assert_eq!(collected(answer.into_body()).await.0, "{}");
        drop(feed);
    });
}

#[test]
fn what_must_not_pass_never_reaches_the_origin_and_the_connection_stays_of_use() {
    for protocol in BOTH {
        for pieces in [&["{\"evil\":1}"][..], &["{\"ev", "il\":", "1}"], &["{\"evil\":1}", "and more"]] {
            run(async {
                let (client, thread, got) = echo(protocol, &Wish::default()).await;
                let answer = client.send(post("hold", in_pieces(pieces))).await.unwrap();
                assert_eq!(answer.status(), StatusCode::FORBIDDEN);
                assert!(!collected(answer.into_body()).await.0.is_empty());
                assert!(got.borrow().is_empty());
                let answer = client.send(post("hold", full("{}"))).await.unwrap();
                assert_eq!(collected(answer.into_body()).await.0, "{}");
                assert_eq!(thread.shared.counters.totals().words.get(&("actions", "block")), Some(&1));
            });
        }
    }
}

#[test]
fn a_head_that_must_not_pass_is_answered_and_a_large_upload_with_it_does_not_lose_the_answer() {
    for protocol in BOTH {
        run(async {
            let (client, _, got) = echo(protocol, &Wish::default()).await;
            for body in [empty(), full(vec![b'x'; 4 << 20])] {
                let answer = client.send(post("stop", body)).await.unwrap();
                assert_eq!(answer.status(), StatusCode::FORBIDDEN);
                collected(answer.into_body()).await;
            }
            assert!(got.borrow().is_empty());
        });
    }
}

#[test]
fn a_stream_is_cut_where_something_comes_that_must_not_pass() {
    for protocol in BOTH {
        run(async {
            let (client, _, got) = echo(protocol, &Wish::default()).await;
            let answer =
                client.send(post("watch", in_pieces(&["{\"a\":1}", "{\"evil\"", ":1}", "more"]))).await.unwrap();
            assert_eq!(answer.status(), StatusCode::FORBIDDEN);
            until("the origin saw it break off", || !got.borrow().is_empty()).await;
            assert_eq!(*got.borrow(), [Err(())]);
        });
    }
}

#[test]
fn a_message_over_the_limit_is_refused_or_streamed_but_for_what_completes_it() {
    let long = || in_pieces(&["{\"a\":\"", "xxxxxxxxxxxxxxxxxxxxxxxx", "xxxxxxxxxxxxxxxx", "\"", "}"]);
    let evil = || in_pieces(&["{\"evil\":\"", "xxxxxxxxxxxxxxxxxxxxxxxx", "xxxxxxxxxxxxxxxx", "\"", "}"]);
    for protocol in BOTH {
        for over in [Over::Refuse, Over::Stream] {
            for total in [false, true] {
                run(async {
                    let (bytes, total_bytes) = if total { (1000, 16) } else { (16, 1000) };
                    let hold = Hold { bytes, total_bytes, over, ..Hold::default() };
                    let (client, thread, got) = echo(protocol, &Wish { hold, ..Wish::default() }).await;
                    let answer = client.send(post("hold", long())).await.unwrap();
                    assert_eq!(answer.status(), if over == Over::Refuse { 403 } else { 200 });
                    collected(answer.into_body()).await;
                    let answer = client.send(post("hold", evil())).await.unwrap();
                    assert_eq!(answer.status(), 403);
                    collected(answer.into_body()).await;
                    if over == Over::Refuse {
                        assert!(got.borrow().is_empty());
                    } else {
                        until("the origin has both", || got.borrow().len() == 2).await;
                        assert!(got.borrow()[0].is_ok() && got.borrow()[1].is_err());
                    }
                    let word = if total { "hold_total_bytes" } else { "hold_bytes" };
                    assert_eq!(thread.shared.counters.totals().words.get(&("limit", word)), Some(&2));
                    assert_eq!(thread.shared.held.load(std::sync::atomic::Ordering::Relaxed), 0);
                });
            }
        }
    }
}

#[test]
fn a_client_that_stops_in_mid_message_is_not_waited_for() {
    for protocol in BOTH {
        run(async {
            let hold = Hold { idle: Duration::from_millis(20), over: Over::Refuse, ..Hold::default() };
            let (client, thread, got) = echo(protocol, &Wish { hold, ..Wish::default() }).await;
            let (feed, body) = fed();
            feed.send(data("{")).await.unwrap();
            let answer = client.send(post("hold", body)).await.unwrap();
            assert_eq!(answer.status(), 403);
            assert!(got.borrow().is_empty());
            assert_eq!(thread.shared.counters.totals().words.get(&("limit", "hold_idle")), Some(&1));
        });
    }
}

#[test]
fn answers_are_held_and_stopped_where_a_verdict_says_so() {
    for protocol in BOTH {
        run(async {
            let (client, _, _) = echo(protocol, &Wish::default()).await;
            let answer = client.send(post("answer", full("{\"a\":1}"))).await.unwrap();
            assert_eq!(collected(answer.into_body()).await.0, "{\"a\":1}");
            let answer = client.send(post("answer", full("{\"evil\":1}"))).await.unwrap();
            assert_eq!(answer.status(), 403);
            collected(answer.into_body()).await;
        });
    }
}

#[test]
fn an_answer_is_cut_where_something_comes_that_must_not_pass() {
    for protocol in BOTH {
        run(async {
            let (feed, body) = fed();
            let body = Cell::new(Some(body));
            let (client, thread) = through(protocol, &Wish::default(), move |_| {
                let body = body.take().unwrap();
                async { Response::new(body) }
            })
            .await;
            let request = post("answer-watch", empty());
            let mut answer = client.send(request).await.unwrap().into_body();
            feed.send(data("{}")).await.unwrap();
            assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), "{}");
            feed.send(data("{\"evil\":1}")).await.unwrap();
            assert!(answer.frame().await.unwrap().is_err());
            assert_eq!(thread.shared.counters.totals().words.get(&("actions", "block")), Some(&1));
            feed.closed().await;
        });
    }
}

#[test]
fn a_fault_of_ours_costs_one_request_or_none_as_configured() {
    for protocol in BOTH {
        for fault in [Fault::Open, Fault::Closed] {
            run(async {
                let (client, thread, got) = echo(protocol, &Wish { fault: Some(fault), ..Wish::default() }).await;
                let answer = client.send(post("panic", full("{}"))).await.unwrap();
                assert_eq!(answer.status(), if fault == Fault::Open { 200 } else { 403 });
                collected(answer.into_body()).await;
                assert_eq!(got.borrow().len(), usize::from(fault == Fault::Open));
                let answer = client.send(post("hold", full("{}"))).await.unwrap();
                assert_eq!(collected(answer.into_body()).await.0, "{}");
                let word = if fault == Fault::Open { "passed" } else { "refused" };
                assert_eq!(thread.shared.counters.totals().words.get(&("fault", word)), Some(&1));
            });
        }
    }
}

#[test]
fn what_was_stopped_is_told_once_whoever_waits_for_the_answer() {
    type Course = fn(&Exchange);
    let courses: [(&str, Course, &str); 5] = [
        ("the client is gone", |exchange| exchange.stop(refusal()), "partial"),
        (
            "the origin answered early",
            |exchange| {
                exchange.stop(refusal());
                exchange.answered();
                assert!(exchange.stopped().is_none());
            },
            "partial",
        ),
        (
            "the answer is on its way",
            |exchange| {
                exchange.answered();
                exchange.stop(refusal());
            },
            "partial",
        ),
        (
            "there is an answer of our own",
            |exchange| {
                exchange.stop(refusal());
                let ruling = exchange.stopped().unwrap();
                exchange.acted(&ruling, "none");
            },
            "none",
        ),
        (
            "both bodies are stopped",
            |exchange| {
                exchange.stop(refusal());
                exchange.stop(refusal());
            },
            "partial",
        ),
    ];
    run(async {
        let thread = thread(&Wish::default());
        let (head, ()) = Request::post("/").body(()).unwrap().into_parts();
        for (name, course, want) in courses {
            TOLD.take();
            let (exchange, _) = Exchange::begin(&conn(&thread), thread.shared.settings.load_full(), &head);
            course(&exchange);
            drop(exchange);
            assert_eq!(TOLD.take(), [want], "{name}");
        }
        let counted = thread.shared.counters.totals().words.get(&("actions", "block")).copied();
        assert_eq!(counted, Some(5));
    });
}

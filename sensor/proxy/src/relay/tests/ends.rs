//! What comes beside answers and behind them, bodies that do not come to their end, and readers that take nothing.

use super::*;

/// How often a word was counted.
fn count(thread: &Thread, family: &'static str, word: &'static str) -> u64 {
    thread.shared.counters.totals().words.get(&(family, word)).copied().unwrap_or_default()
}

/// Proxy and client, and an origin of HTTP/1 that says `answer` to each request.
async fn saying(answer: &'static str) -> (Client, Rc<Thread>) {
    let Between { client, mut origin, thread, .. } = between(Protocol::Http1, &Wish::default());
    tokio::task::spawn_local(async move {
        while let Some(mut io) = origin.recv().await {
            let mut head = [0; 4096];
            while io.read(&mut head).await.is_ok_and(|n| n > 0) {
                io.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    });
    (Client::new(client, Protocol::Http1).await, thread)
}

#[test]
fn trailers_that_nobody_announced_or_asked_for_are_counted_over_http1() {
    for (announced, te, pass) in [
        ("", "trailers", 0),
        ("Trailer: X-Sum , x-other\r\n", "", 0),
        ("Trailer: X-Sum , x-other\r\n", "trailers", 1),
        ("Trailer: grpc-status\r\nTrailer: x-sum, host\r\n", "gzip, trailers", 2),
    ] {
        run(async {
            let trailers = "grpc-status: 0\r\nx-sum: 6\r\nhost: a\r\n";
            let answer = format!(
                "HTTP/1.1 200 OK\r\n{announced}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n{trailers}\r\n"
            );
            let (client, thread) = saying(answer.leak()).await;
            for n in 1..3 {
                let request = Request::get("/").header("te", te).body(empty()).unwrap();
                let (body, trailers) = collected(client.send(request).await.unwrap().into_body()).await;
                assert_eq!((body.as_ref(), trailers.map_or(0, |all| all.len())), (&b"abc"[..], pass), "{announced}");
                assert_eq!(count(&thread, "dropped", "trailers"), n * (3 - pass as u64), "{announced} {te}");
            }
        });
    }
}

#[test]
fn trailers_of_grpc_pass_though_nobody_announced_them() {
    run(async {
        let (client, thread) = through(Protocol::Http2, &Wish::default(), |request| async move {
            assert_eq!(collected(request.into_body()).await.1.unwrap()["x-sum"], "6");
            let (feed, answer) = fed();
            tokio::task::spawn_local(async move {
                let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
                feed.send(Ok(Frame::trailers(trailers))).await.unwrap();
            });
            Response::new(answer)
        })
        .await;
        let (feed, body) = fed();
        tokio::task::spawn_local(async move {
            feed.send(data("abc")).await.unwrap();
            let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "6".parse().unwrap())]);
            feed.send(Ok(Frame::trailers(trailers))).await.unwrap();
        });
        let answer = client.send(Request::post("/").body(body).unwrap()).await.unwrap();
        assert_eq!(collected(answer.into_body()).await.1.unwrap()["grpc-status"], "0");
        assert_eq!(count(&thread, "dropped", "trailers"), 0);
    });
}

#[test]
fn interim_answers_are_counted_over_http1_and_the_answer_comes() {
    run(async {
        let (client, thread) = saying(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n\
             HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        )
        .await;
        for n in 1..3 {
            let answer = client.send(Request::get("/").body(empty()).unwrap()).await.unwrap();
            assert_eq!(collected(answer.into_body()).await.0, "abc");
            assert_eq!(count(&thread, "dropped", "interim"), 2 * n, "100 is nobody's loss");
        }
    });
}

#[test]
fn what_an_origin_breaks_off_is_counted_for_it() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n",
    ] {
        run(async {
            let Between { client, mut origin, thread, .. } = between(Protocol::Http1, &Wish::default());
            tokio::task::spawn_local(async move {
                let mut io = origin.recv().await.unwrap();
                assert!(io.read(&mut [0; 4096]).await.unwrap() > 0);
                io.write_all(answer.as_bytes()).await.unwrap();
            });
            let client = Client::new(client, Protocol::Http1).await;
            ENDS.take();
            let request = Request::get("/").header("x-script", "none").body(empty()).unwrap();
            let answered = client.send(request).await.unwrap();
            assert!(answered.into_body().collect().await.is_err(), "{answer}");
            assert_eq!((count(&thread, "broken_off", "origin"), count(&thread, "broken_off", "client")), (1, 0));
            assert!(ENDS.take().contains(&(Direction::ToClient, EndKind::Cut)), "the inspector knows");
        });
    }
}

const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
/// The stream that is asked on is reset for this reason.
const fn reset(reason: u8) -> [u8; 13] {
    [0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, reason]
}

/// Reads frames of HTTP/2 until the first of stream 1.
async fn asked(io: &mut DuplexStream) {
    let mut seen = Vec::new();
    while !seen.windows(8).any(|eight| eight[0] == 1 && eight[2..6] == [0, 0, 0, 1]) {
        assert!(io.read_buf(&mut seen).await.unwrap() > 0);
    }
}

#[test]
fn an_answer_that_was_reset_is_not_whole_whatever_the_reason() {
    // NO_ERROR, INTERNAL_ERROR, CANCEL.
    for reason in [0, 2, 8] {
        run(async {
            let Between { client, mut origin, thread, .. } = between(Protocol::Http2, &Wish::default());
            tokio::task::spawn_local(async move {
                let mut io = origin.recv().await.unwrap();
                io.write_all(&SETTINGS).await.unwrap();
                asked(&mut io).await;
                // `:status: 200`, and three bytes.
                io.write_all(b"\0\0\x01\x01\x04\0\0\0\x01\x88\0\0\x03\0\0\0\0\0\x01abc").await.unwrap();
                io.write_all(&reset(reason)).await.unwrap();
                while io.read(&mut [0; 1024]).await.is_ok_and(|n| n > 0) {}
            });
            let client = Client::new(client, Protocol::Http2).await;
            let whole = match client.send(Request::get("/").body(empty()).unwrap()).await {
                Ok(answer) => answer.into_body().collect().await.is_ok(),
                Err(_) => false,
            };
            assert!(!whole, "{reason}");
            assert_eq!(count(&thread, "broken_off", "origin") + count(&thread, "refused", "connection_terminated"), 1);
        });
    }
}

#[test]
fn an_upload_that_was_reset_is_not_whole_whatever_the_reason() {
    for reason in [0, 2, 8] {
        run(async {
            let whole = Rc::new(Cell::new(None));
            let keep = Rc::clone(&whole);
            let Between { mut client, origin, thread, .. } = between(Protocol::Http2, &Wish::default());
            super::origin(origin, Protocol::Http2, move |request| {
                let keep = Rc::clone(&keep);
                async move {
                    keep.set(Some(request.into_body().collect().await.is_ok()));
                    Response::new(empty())
                }
            });
            client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
            client.write_all(&SETTINGS).await.unwrap();
            // POST, https, `/`, `:authority`, and three bytes.
            client.write_all(b"\0\0\x13\x01\x04\0\0\0\x01\x83\x87\x84\x41\x0eorigin.example").await.unwrap();
            client.write_all(b"\0\0\x03\0\0\0\0\0\x01abc").await.unwrap();
            until("the origin is asked", || count(&thread, "requests", "200") > 0 || Rc::strong_count(&whole) > 2)
                .await;
            client.write_all(&reset(reason)).await.unwrap();
            until("the origin knows", || whole.get().is_some()).await;
            assert_eq!(whole.get(), Some(false), "{reason}");
            assert_eq!(count(&thread, "broken_off", "client"), 1, "{reason}");
        });
    }
}

#[test]
fn an_upload_that_ends_with_its_connection_is_counted_for_the_client() {
    run(async {
        let Between { mut client, mut origin, thread, over, .. } = between(Protocol::Http1, &Wish::default());
        client.write_all(b"POST / HTTP/1.1\r\nhost: origin.example\r\ncontent-length: 9\r\n\r\nabc").await.unwrap();
        let mut io = origin.recv().await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"abc") {
            assert!(io.read_buf(&mut seen).await.unwrap() > 0);
        }
        drop(client);
        over.await.unwrap();
        until("it is counted", || count(&thread, "broken_off", "client") == 1).await;
    });
}

#[test]
fn a_client_that_ends_its_side_alone_is_gone_for_an_event_stream_that_says_nothing() {
    run(async {
        let (feed, body) = fed();
        let body = Cell::new(Some(body));
        let Between { mut client, origin, .. } = between(Protocol::Http1, &Wish::default());
        super::origin(origin, Protocol::Http1, move |_| {
            let body = body.take().unwrap();
            async { Response::builder().header("content-type", "text/event-stream").body(body).unwrap() }
        });
        client.write_all(b"GET / HTTP/1.1\r\nhost: origin.example\r\n\r\n").await.unwrap();
        assert!(client.read(&mut [0; 1024]).await.unwrap() > 0);
        client.shutdown().await.unwrap();
        let since = tokio::time::Instant::now();
        feed.closed().await;
        assert!(since.elapsed() < Duration::from_millis(100), "{:?}", since.elapsed());
    });
}

#[test]
fn a_stream_of_which_a_client_takes_nothing_is_given_up_and_others_of_the_connection_are_not() {
    run(async {
        let limits = Limits { stall_time: Duration::from_millis(400), ..Limits::default() };
        let Between { client, origin, thread, .. } = between(Protocol::Http2, &Wish { limits, ..Wish::default() });
        let feeds: Rc<RefCell<Vec<Feed>>> = Rc::default();
        let keep = Rc::clone(&feeds);
        super::origin(origin, Protocol::Http2, move |request| {
            let (feed, body) = fed();
            if request.uri().path() == "/quiet" {
                keep.borrow_mut().push(feed);
            } else {
                tokio::task::spawn_local(async move {
                    for _ in 0..32 {
                        if feed.send(data(vec![0; 16 << 10])).await.is_err() {
                            break;
                        }
                    }
                });
            }
            async { Response::builder().header("content-type", "text/event-stream").body(body).unwrap() }
        });
        let handshake = http2::Builder::new(Local).initial_stream_window_size(16 << 10).handshake(TokioIo::new(client));
        let (sender, conn) = handshake.await.unwrap();
        tokio::task::spawn_local(conn);
        let client = Client::Http2(sender);
        let get = |path| client.send(Request::get(path).body(empty()).unwrap());
        let mut quiet = get("/quiet").await.unwrap().into_body();
        let feed = feeds.borrow_mut().pop().unwrap();
        feed.send(data("one")).await.unwrap();
        assert_eq!(quiet.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
        let (stuck, mut slow) = (get("/stuck").await.unwrap(), get("/slow").await.unwrap().into_body());
        let mut took = 0;
        while let Some(piece) = slow.frame().await {
            took += piece.unwrap().into_data().unwrap().len();
            // Less than the limit, and in all far longer.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(took, 512 << 10);
        assert_eq!(count(&thread, "limit", "stall_time"), 1);
        assert!(stuck.into_body().collect().await.is_err(), "it does not look whole");
        feed.send(data("two")).await.unwrap();
        assert_eq!(quiet.frame().await.unwrap().unwrap().into_data().unwrap(), "two", "it had nothing to give");
        drop(quiet);
        assert_eq!(count(&thread, "limit", "stall_time"), 1);
    });
}

//! Bodies: large ones, cut ones, early answers, clients that go away.

use super::*;

/// A body of `count` pieces of 64 KiB, each made when it is asked for.
struct Large {
    left: usize,
    piece: Bytes,
}

impl hyper::body::Body for Large {
    type Data = Bytes;
    type Error = BrokeOff;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, BrokeOff>>> {
        let Some(left) = self.left.checked_sub(1) else { return std::task::Poll::Ready(None) };
        self.left = left;
        std::task::Poll::Ready(Some(data(self.piece.clone())))
    }
}

fn large(count: usize) -> Any {
    let piece = (0..64 << 10).map(|n: u32| u8::try_from(n % 251).unwrap()).collect();
    Large { left: count, piece }.boxed_unsync()
}

/// Bytes of a body, and whether they are those of [`large`].
async fn measured(mut body: Incoming) -> (u64, bool) {
    let (mut len, mut right) = (0_u64, true);
    while let Some(frame) = body.frame().await {
        for byte in frame.unwrap().into_data().unwrap() {
            right &= u64::from(byte) == len % (64 << 10) % 251;
            len += 1;
        }
    }
    (len, right)
}

#[test]
fn large_bodies_pass_whole_in_both_directions() {
    for protocol in BOTH {
        run(async {
            let (client, thread) = through(protocol, &Wish::default(), |request| async move {
                assert_eq!(measured(request.into_body()).await, (64 << 20, true));
                Response::new(large(1024))
            })
            .await;
            let answer = client.send(Request::post("/").body(large(1024)).unwrap()).await.unwrap();
            assert_eq!(measured(answer.into_body()).await, (64 << 20, true));
            assert_eq!(thread.shared.counters.totals().held_bytes, 0);
        });
    }
}

#[test]
fn an_origin_that_is_not_read_is_not_read_ahead_of_its_client() {
    for protocol in BOTH {
        run(async {
            let taken = Rc::new(Cell::new(0));
            let count = Rc::clone(&taken);
            let (client, _) = through(protocol, &Wish::default(), move |_| {
                let (feed, body) = fed();
                let count = Rc::clone(&count);
                tokio::task::spawn_local(async move {
                    while feed.send(data(vec![0; 64 << 10])).await.is_ok() {
                        count.set(count.get() + (64 << 10));
                    }
                });
                async { Response::new(body) }
            })
            .await;
            let answer = client.send(Request::get("/").body(empty()).unwrap()).await.unwrap();
            let before = Cell::new(0);
            until("it comes to rest", || {
                let now = taken.get();
                now > 0 && before.replace(now) == now
            })
            .await;
            // Windows of both connections of HTTP/2 and what both libraries keep to be written.
            assert!(taken.get() < 12 << 20, "{}", taken.get());
            drop(answer);
        });
    }
}

#[test]
fn an_answer_that_breaks_off_never_looks_whole() {
    for protocol in BOTH {
        for length in [None, Some("1000")] {
            run(async {
                let (client, _) = through(protocol, &Wish::default(), move |_| async move {
                    let (feed, body) = fed();
                    tokio::task::spawn_local(async move {
                        feed.send(data("some")).await.unwrap();
                        feed.send(Err(BrokeOff)).await.unwrap();
                    });
                    let builder = Response::builder();
                    let builder =
                        if let Some(length) = length { builder.header("content-length", length) } else { builder };
                    builder.body(body).unwrap()
                })
                .await;
                let broken = match client.send(Request::get("/").body(empty()).unwrap()).await {
                    Ok(answer) => answer.into_body().collect().await.is_err(),
                    Err(_) => true,
                };
                assert!(broken, "{protocol:?} {length:?}");
            });
        }
    }
}

#[test]
fn an_origin_that_closes_in_mid_body_is_an_error_for_the_client() {
    run(async {
        let Between { client, mut origin, .. } = between(Protocol::Http1, &Wish::default());
        tokio::task::spawn_local(async move {
            let mut io = origin.recv().await.unwrap();
            let mut head = [0; 1024];
            assert!(io.read(&mut head).await.unwrap() > 0);
            io.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel").await.unwrap();
        });
        let client = Client::new(client, Protocol::Http1).await;
        let answer = client.send(Request::get("/").body(empty()).unwrap()).await.unwrap();
        assert!(answer.into_body().collect().await.is_err());
    });
}

#[test]
fn an_early_answer_to_a_large_upload_arrives_every_time() {
    for protocol in BOTH {
        for closes in [false, true] {
            for _ in 0..20 {
                run(async {
                    let Between { client, mut origin, .. } = between(protocol, &Wish::default());
                    let client = Client::new(client, protocol).await;
                    if protocol == Protocol::Http1 && closes {
                        // It answers and is gone, with the upload unread.
                        tokio::task::spawn_local(async move {
                            let mut io = origin.recv().await.unwrap();
                            let mut head = [0; 1024];
                            assert!(io.read(&mut head).await.unwrap() > 0);
                            io.write_all(b"HTTP/1.1 413 No\r\ncontent-length: 3\r\nconnection: close\r\n\r\nno!")
                                .await
                                .unwrap();
                        });
                    } else {
                        super::origin(origin, protocol, |_| async {
                            Response::builder().status(413).body(full("no!")).unwrap()
                        });
                    }
                    let answer = client.send(Request::post("/").body(large(128)).unwrap()).await.unwrap();
                    assert_eq!(answer.status(), 413);
                    assert_eq!(collected(answer.into_body()).await.0, "no!");
                });
            }
        }
    }
}

#[test]
fn a_client_that_goes_away_while_the_answer_is_pending_is_gone_for_the_origin() {
    for protocol in BOTH {
        run(async {
            /// Tells when it is dropped.
            struct Alive(Rc<Cell<bool>>);
            impl Drop for Alive {
                fn drop(&mut self) {
                    self.0.set(true);
                }
            }
            let (asked, gone) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(false)));
            let (ask, go) = (Rc::clone(&asked), Rc::clone(&gone));
            let (client, _) = through(protocol, &Wish::default(), move |_| {
                ask.set(true);
                let alive = Alive(Rc::clone(&go));
                async move {
                    let _alive = alive;
                    std::future::pending().await
                }
            })
            .await;
            let sending =
                tokio::task::spawn_local(
                    async move { drop(client.send(Request::get("/").body(empty()).unwrap()).await) },
                );
            until("the request arrives", || asked.get()).await;
            sending.abort();
            let since = tokio::time::Instant::now();
            until("the origin knows", || gone.get()).await;
            assert!(since.elapsed() < Duration::from_millis(100), "{:?}", since.elapsed());
        });
    }
}

#[test]
fn a_client_that_goes_away_in_mid_answer_is_gone_for_the_origin() {
    for protocol in BOTH {
        run(async {
            let (feed, body) = fed();
            let body = Cell::new(Some(body));
            let (client, _) = through(protocol, &Wish::default(), move |_| {
                let body = body.take().unwrap();
                async { Response::new(body) }
            })
            .await;
            let mut answer = client.send(Request::get("/").body(empty()).unwrap()).await.unwrap().into_body();
            feed.send(data("x")).await.unwrap();
            answer.frame().await.unwrap().unwrap();
            drop((answer, client));
            let since = tokio::time::Instant::now();
            feed.closed().await;
            assert!(since.elapsed() < Duration::from_millis(100), "{:?}", since.elapsed());
        });
    }
}

#[test]
fn a_client_that_breaks_an_upload_off_never_sends_a_whole_request() {
    for protocol in BOTH {
        run(async {
            let broken = Rc::new(Cell::new(None));
            let keep = Rc::clone(&broken);
            let (client, _) = through(protocol, &Wish::default(), move |request| {
                let keep = Rc::clone(&keep);
                async move {
                    keep.set(Some(request.into_body().collect().await.is_err()));
                    Response::new(empty())
                }
            })
            .await;
            let (feed, body) = fed();
            tokio::task::spawn_local(async move {
                feed.send(data("some")).await.unwrap();
                feed.send(Err(BrokeOff)).await.unwrap();
            });
            drop(client.send(Request::post("/").body(body).unwrap()).await);
            until("the origin has it", || broken.get().is_some()).await;
            assert_eq!(broken.get(), Some(true));
        });
    }
}

#[test]
fn a_client_that_asks_first_is_told_to_go_on() {
    run(async {
        let Between { mut client, origin, .. } = between(Protocol::Http1, &Wish::default());
        super::origin(origin, Protocol::Http1, |request| async move {
            assert!(!request.headers().contains_key("expect"));
            Response::new(full(collected(request.into_body()).await.0))
        });
        client
            .write_all(b"POST / HTTP/1.1\r\nhost: origin.example\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n")
            .await
            .unwrap();
        let mut told = [0; 25];
        client.read_exact(&mut told).await.unwrap();
        assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
        client.write_all(b"ping").await.unwrap();
        let mut answer = [0; 15];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
    });
}

//! Connecting: each address is judged right before it is connected to, and the first that answers is taken.

use super::destination::{Judge, Refusal};
use crate::failure::Failure;
use socket2::{SockRef, TcpKeepalive};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

/// How long an attempt is waited for before the next begins beside it (RFC 8305 section 5).
const STAGGER: Duration = Duration::from_millis(250);
/// A connection on which nothing comes for so long is asked whether it is still there; event streams may be silent for
/// hours.
const KEEP_ALIVE: Duration = Duration::from_mins(1);
/// Between such questions; four without an answer end the connection.
const KEEP_ALIVE_PAUSE: Duration = Duration::from_secs(15);

/// Connects to the first of these addresses that answers. `what` is told in failures.
///
/// # Errors
///
/// [`Failure::Loop`], [`Failure::Forbidden`] where no address may be connected to, else why the last attempt failed.
pub(super) async fn connect(
    judge: Judge<'_>,
    addresses: &[IpAddr],
    port: u16,
    what: &str,
) -> Result<(TcpStream, SocketAddr), Failure> {
    let mut waiting = addresses.iter().map(|ip| SocketAddr::new(*ip, port));
    let mut running: Vec<Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>> = Vec::new();
    let mut failure = Failure::Connect(what.to_owned(), "it has no address".to_owned());
    let mut refused = None;
    let mut tried = false;
    loop {
        // The next one that may be connected to.
        let next = waiting.by_ref().find(|to| match judge.judge(*to) {
            Ok(()) => true,
            Err(why) => {
                refused = Some(why);
                false
            }
        });
        if let Some(to) = next {
            tried = true;
            running.push(Box::pin(TcpStream::connect(to)));
        }
        if running.is_empty() {
            return Err(match refused {
                Some(Refusal::Ourselves) if !tried => Failure::Loop,
                Some(Refusal::Because(why)) if !tried => Failure::Forbidden { what: what.to_owned(), why },
                _ => failure,
            });
        }
        let more = next.is_some() && waiting.len() > 0;
        let until = Instant::now() + STAGGER;
        let outcome = tokio::select! {
            outcome = any(&mut running) => outcome,
            () = sleep_until(until), if more => continue,
        };
        match outcome.and_then(|stream| ready(stream, judge)) {
            Ok(connected) => return Ok(connected),
            Err(e) if is_ours(&e) => return Err(Failure::Limit("open files")),
            Err(e) => failure = Failure::Connect(what.to_owned(), e.to_string()),
        }
    }
}

/// The first attempt that is over.
async fn any<T>(running: &mut Vec<Pin<Box<dyn Future<Output = T> + Send>>>) -> T {
    poll_fn(|cx| {
        for at in 0..running.len() {
            let Some(attempt) = running.get_mut(at) else { break };
            if let Poll::Ready(outcome) = attempt.as_mut().poll(cx) {
                drop(running.swap_remove(at));
                return Poll::Ready(outcome);
            }
        }
        Poll::Pending
    })
    .await
}

/// A connection made fit for use, with the address that it really goes to.
fn ready(stream: TcpStream, judge: Judge<'_>) -> io::Result<(TcpStream, SocketAddr)> {
    let peer = stream.peer_addr()?;
    // What the kernel connected to is what counts, whatever it was asked for.
    if judge.judge(peer).is_err() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    // TCP lets a port connect to itself, where the port drawn for our side happens to be the one asked for.
    if peer.ip().to_canonical().is_loopback() && stream.local_addr()? == peer {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    stream.set_nodelay(true)?;
    let keep = TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(KEEP_ALIVE_PAUSE).with_retries(4);
    SockRef::from(&stream).set_tcp_keepalive(&keep)?;
    Ok((stream, peer))
}

/// Whether an attempt failed for want of something of ours.
fn is_ours(e: &io::Error) -> bool {
    // EMFILE, ENFILE: std has no kind for them.
    matches!(e.raw_os_error(), Some(23 | 24))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Destinations;
    use detect::Cidr;
    use tokio::net::TcpListener;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn loopback_allowed() -> Destinations {
        let allow = ["127.0.0.0/8", "::1"].map(|net| Cidr::parse(net).unwrap()).to_vec();
        Destinations { allow, ..Destinations::default() }
    }

    #[tokio::test]
    async fn the_first_address_that_answers_is_taken_and_its_own_address_given() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (rules, port) = (loopback_allowed(), listener.local_addr().unwrap().port());
        let judge = Judge { rules: &rules, own: &[] };
        // 127.0.0.2 refuses: only 127.0.0.1 listens.
        let (stream, peer) = connect(judge, &[ip("127.0.0.2"), ip("127.0.0.1")], port, "x").await.unwrap();
        assert_eq!(peer, listener.local_addr().unwrap());
        assert!(stream.nodelay().unwrap() && SockRef::from(&stream).keepalive().unwrap());
    }

    #[tokio::test]
    async fn refused_addresses_are_passed_over_and_if_all_are_the_reason_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let rules = loopback_allowed();
        let judge = Judge { rules: &rules, own: &[] };
        assert!(connect(judge, &[ip("169.254.169.254"), ip("127.0.0.1")], port, "x").await.is_ok());
        let failed = connect(judge, &[ip("169.254.169.254"), ip("fe80::1")], port, "x:1").await.unwrap_err();
        assert_eq!(failed, Failure::Forbidden { what: "x:1".to_owned(), why: "it is a link-local address" });
        let own = [listener.local_addr().unwrap()];
        let judge = Judge { rules: &rules, own: &own };
        assert_eq!(connect(judge, &[ip("127.0.0.1")], port, "x").await.unwrap_err(), Failure::Loop);
    }

    #[tokio::test]
    async fn where_nobody_answers_the_last_reason_is_told() {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let rules = loopback_allowed();
        let judge = Judge { rules: &rules, own: &[] };
        let failed = connect(judge, &[ip("127.0.0.1"), ip("127.0.0.2")], port, "x").await.unwrap_err();
        assert!(matches!(&failed, Failure::Connect(what, why) if what == "x" && why.contains("refused")), "{failed:?}");
        assert!(matches!(connect(judge, &[], port, "x").await, Err(Failure::Connect(..))));
    }

    #[tokio::test]
    async fn an_attempt_that_hangs_does_not_hold_up_the_next() {
        // A listener whose queue is full does not answer.
        let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        full.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into()).unwrap();
        full.listen(0).unwrap();
        let port = full.local_addr().unwrap().as_socket().unwrap().port();
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let mut filler = Vec::new();
        while let Ok(stream) =
            tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(("127.0.0.2", port))).await
        {
            filler.push(stream.unwrap());
        }
        let rules = loopback_allowed();
        let judge = Judge { rules: &rules, own: &[] };
        let start = Instant::now();
        let (_, peer) = connect(judge, &[ip("127.0.0.2"), ip("127.0.0.1")], port, "x").await.unwrap();
        assert_eq!(peer, listener.local_addr().unwrap());
        assert!(start.elapsed() >= STAGGER && start.elapsed() < Duration::from_secs(5));
    }
}

//! Which response goes with which request, and that each side of each exchange ends.

use super::{c, check, check_with, outcome, s};
use crate::http1::fuzz::Event;
use crate::{Anomaly, Limits};
use net::Direction::{ToClient, ToServer};

const GET: &[u8] = b"GET / HTTP/1.1\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";

#[test]
fn pipelined_requests_are_answered_in_order() {
    check(
        "three at once",
        &[c(&GET.repeat(3)), s(&OK.repeat(3))],
        "0 GET / 1.1; 0 end; 1 GET / 1.1; 1 end; 2 GET / 1.1; 2 end",
        "0 200 1.1; 0 \"x\"; 0 end; 1 200 1.1; 1 \"x\"; 1 end; 2 200 1.1; 2 \"x\"; 2 end",
    );
    check(
        "HEAD among others",
        &[
            c(GET),
            c(b"HEAD / HTTP/1.1\r\n\r\n"),
            c(GET),
            s(OK),
            s(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"),
            s(OK),
        ],
        "0 GET / 1.1; 0 end; 1 HEAD / 1.1; 1 end; 2 GET / 1.1; 2 end",
        "0 200 1.1; 0 \"x\"; 0 end; 1 200 1.1; 1 end; 2 200 1.1; 2 \"x\"; 2 end",
    );
}

#[test]
fn an_answer_may_come_before_the_body_is_over() {
    check(
        "early",
        &[c(b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nab"), s(OK), c(b"cd"), c(GET), s(OK)],
        "0 POST / 1.1; 0 \"abcd\"; 0 end; 1 GET / 1.1; 1 end",
        "0 200 1.1; 0 \"x\"; 0 end; 1 200 1.1; 1 \"x\"; 1 end",
    );
}

#[test]
fn one_direction_alone_is_read() {
    check("client", &[c(GET), c(GET)], "0 GET / 1.1; 0 end; 1 GET / 1.1; 1 end", "0 cut; 1 cut");
    check("server", &[s(OK), s(OK)], "0 cut; 1 cut", "0 200 1.1; 0 \"x\"; 0 end; 1 200 1.1; 1 \"x\"; 1 end");
    check_with(&Limits::default(), true, "server, midstream", &[s(OK)], "0 cut", "0 200 1.1; 0 \"x\"; 0 end");
    check(
        "an answer to a HEAD that was not seen",
        &[s(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"), s(OK)],
        "0 cut; 1 cut",
        "0 200 1.1; 0 end; 1 200 1.1; 1 \"x\"; 1 end",
    );
}

#[test]
fn a_response_that_overtook_its_request_is_still_its_own() {
    check(
        "overtaken",
        &[s(OK), c(GET), c(b"GET /2 HTTP/1.1\r\n\r\n"), s(OK)],
        "0 GET / 1.1; 0 end; 1 GET /2 1.1; 1 end",
        "0 200 1.1; 0 \"x\"; 0 end; 1 200 1.1; 1 \"x\"; 1 end",
    );
}

#[test]
fn responses_that_overtook_their_requests_are_taken_in_order() {
    let got = check(
        "two overtaken",
        &[s(OK), s(b"HTTP/1.1 204 N\r\n\r\n"), c(GET), c(b"GET /2 HTTP/1.1\r\n\r\n")],
        "0 GET / 1.1; 0 end; 1 GET /2 1.1; 1 end",
        "0 200 1.1; 0 \"x\"; 0 end; 1 204 1.1; 1 end",
    );
    assert_eq!(got.stats.unpaired, 0);
}

#[test]
fn a_response_whose_request_turns_out_lost_stays_alone() {
    // The loss is told when the lost request was answered.
    let got = check(
        "the first",
        &[s(OK), Event::Gap(ToServer, 99), c(GET), s(b"HTTP/1.1 204 N\r\n\r\n"), c(GET), s(OK)],
        "0 cut; 1 GET / 1.1; 1 end; 2 cut; 3 GET / 1.1; 3 end",
        "0 200 1.1; 0 \"x\"; 0 end; 1 cut; 2 204 1.1; 2 end; 3 200 1.1; 3 \"x\"; 3 end",
    );
    assert_eq!(got.stats.unpaired, 3);
    check(
        "a later one, with the next answered too",
        &[c(GET), s(OK), s(OK), s(OK), Event::Gap(ToServer, 99), c(b"GET /2 HTTP/1.1\r\n\r\n")],
        "0 GET / 1.1; 0 end; 1 cut; 2 cut; 3 GET /2 1.1; 3 end",
        "0 200 1.1; 0 \"x\"; 0 end; 1 200 1.1; 1 \"x\"; 1 end; 2 200 1.1; 2 \"x\"; 2 end; 3 cut",
    );
}

#[test]
fn requests_held_back_by_a_hole_in_a_body_keep_their_answers() {
    let post = b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nab";
    let none = b"HTTP/1.1 204 N\r\n\r\n";
    // All is answered before the loss is told, with what was held back behind it.
    let got = check(
        "inside the body",
        &[c(post), s(OK), s(none), s(OK), Event::Gap(ToServer, 5), c(b"yz"), c(GET), c(GET), c(GET), s(none)],
        "0 POST / 1.1; 0 \"ab\"; 0 gap 5; 0 \"yz\"; 0 end; 1 GET / 1.1; 1 end; 2 GET / 1.1; 2 end; \
         3 GET / 1.1; 3 end",
        "0 200 1.1; 0 \"x\"; 0 end; 1 204 1.1; 1 end; 2 200 1.1; 2 \"x\"; 2 end; 3 204 1.1; 3 end",
    );
    assert_eq!(got.stats.unpaired, 0);
    check(
        "over its end",
        &[c(post), s(OK), s(none), Event::Gap(ToServer, 50), c(GET), s(OK)],
        "0 POST / 1.1; 0 \"ab\"; 0 gap 7; 0 cut; 1 cut; 2 GET / 1.1; 2 end; 3 cut",
        "0 200 1.1; 0 \"x\"; 0 end; 1 204 1.1; 1 end; 2 cut; 3 200 1.1; 3 \"x\"; 3 end",
    );
}

#[test]
fn too_many_waiting_requests_stay_alone() {
    let limits = Limits { pipeline: 2, ..Limits::default() };
    let got = check_with(
        &limits,
        false,
        "limit",
        &[c(&GET.repeat(3)), s(&OK.repeat(3)), c(GET), s(OK), c(GET), s(OK)],
        "0 GET / 1.1; 0 end; 1 GET / 1.1; 1 end; 2 GET / 1.1; 2 !pipeline_too_deep; 2 end; 3 cut; \
         4 GET / 1.1; 4 end; 5 cut; 6 GET / 1.1; 6 end",
        "2 cut; 0 200 1.1; 0 \"x\"; 0 end; 1 200 1.1; 1 \"x\"; 1 end; 3 200 1.1; 3 \"x\"; 3 end; \
         4 cut; 5 200 1.1; 5 \"x\"; 5 end; 6 200 1.1; 6 \"x\"; 6 end",
    );
    assert_eq!(got.stats.anomalies(Anomaly::PipelineTooDeep), 1);
}

#[test]
fn after_a_gap_between_requests_pairs_wait_for_turns() {
    // The request of the second answer was lost, and answered before the next one.
    check(
        "one lost request",
        &[c(GET), s(OK), Event::Gap(ToServer, 99), s(OK), c(GET), s(OK)],
        "0 GET / 1.1; 0 end; 1 cut; 2 GET / 1.1; 2 end",
        "0 200 1.1; 0 \"x\"; 0 end; 1 200 1.1; 1 \"x\"; 1 end; 2 200 1.1; 2 \"x\"; 2 end",
    );
    // Its answer is still to come.
    check(
        "one lost request, not answered yet",
        &[c(GET), s(OK), Event::Gap(ToServer, 99), c(GET), s(OK), s(OK), c(GET), s(OK), c(GET), s(OK)],
        "0 GET / 1.1; 0 end; 1 GET / 1.1; 1 end; 2 cut; 3 cut; 4 GET / 1.1; 4 end; 5 cut; 6 GET / 1.1; 6 end",
        "0 200 1.1; 0 \"x\"; 0 end; 1 cut; 2 200 1.1; 2 \"x\"; 2 end; 3 200 1.1; 3 \"x\"; 3 end; 4 cut; \
         5 200 1.1; 5 \"x\"; 5 end; 6 200 1.1; 6 \"x\"; 6 end",
    );
}

#[test]
fn after_a_gap_between_responses_only_a_sure_pair_is_made() {
    let two = b"GET /2 HTTP/1.1\r\n\r\n";
    check("one waits", &[c(GET), Event::Gap(ToClient, 50), s(OK)], "0 GET / 1.1; 0 end", "0 200 1.1; 0 \"x\"; 0 end");
    check(
        "two wait",
        &[c(GET), c(two), Event::Gap(ToClient, 50), s(OK), c(GET), s(OK)],
        "0 GET / 1.1; 0 end; 1 GET /2 1.1; 1 end; 2 cut; 3 GET / 1.1; 3 end",
        "0 cut; 1 cut; 2 200 1.1; 2 \"x\"; 2 end; 3 200 1.1; 3 \"x\"; 3 end",
    );
}

#[test]
fn idle_flows_are_small() {
    assert!(size_of::<crate::Conn>() <= 384, "{}", size_of::<crate::Conn>());
    let got = outcome(false, &Limits::default(), &[c(GET), s(OK)], usize::MAX);
    assert_eq!(got.stats.http1_requests + got.stats.http1_responses, 2);
}

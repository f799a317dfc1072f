//! The number of threads changes no byte of the output.

use crate::support::{Run, fixtures, scripted};
use testkit::{Capture, Wire};

fn same_with_all_thread_counts(name: &str, pcap: &[u8], repeats: usize) {
    let want = Run::threads(pcap, 1).lines;
    for threads in [1, 2, 4, 8] {
        for repeat in 0..repeats {
            let got = Run::threads(pcap, threads).lines;
            if got != want {
                let at = got.iter().zip(&want).position(|(a, b)| a != b).unwrap_or(got.len().min(want.len()));
                panic!(
                    "{name}, {threads} threads, repeat {repeat}: line {at} differs\n got {:?}\nwant {:?}",
                    got.get(at),
                    want.get(at)
                );
            }
        }
    }
}

#[test]
fn captures_give_the_same_lines_with_any_number_of_threads() {
    for path in fixtures("captures", "pcap") {
        same_with_all_thread_counts(&path.display().to_string(), &std::fs::read(&path).unwrap(), 1);
    }
}

#[test]
fn three_hundred_interleaved_flows_give_the_same_lines_with_any_number_of_threads() {
    let mut conversations = Vec::new();
    for n in 0..300_u16 {
        let scripts = scripted();
        let (_, turns) = &scripts[usize::from(n) % scripts.len()];
        // Clients share servers, so that sessions and servers are joined across flows.
        let client = format!("10.{}.1.1:{}", n % 7, 40_000 + n);
        conversations.push((client, format!("10.200.0.{}:8000", n % 11 + 1), turns.clone()));
    }
    let mut capture = Capture::new();
    capture.interleave(&conversations, 60, &Wire { reorder: 3, duplicate: 7, ..Wire::cut(400) }, 5);
    let pcap = capture.pcap();
    let run = Run::of(&pcap);
    assert!(run.of_type("detection").len() > 300, "{} detections", run.of_type("detection").len());
    same_with_all_thread_counts("generated", &pcap, 4);
}

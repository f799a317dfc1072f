//! Frames → segments → flows → ordered bytes. Pure: no I/O, no threads, no clock.

mod checksum;
mod community;
mod craft;
mod decode;
mod flow;
mod fragment;
mod frame;
mod fuzz;
mod packet;
mod stream;
mod time;
mod tunnel;
mod tuple;

pub use checksum::tcp_checksum_ok;
pub use community::community_id;
pub use decode::{MAX_EXTENSION_HEADERS, MAX_LABELS, MAX_VLAN_TAGS, Undecoded, carrier_by_port, decode, tunnel_path};
pub use flow::{Anomaly, App, Data, Flow, FlowEnd, FlowTable, Interest, Limits, Piece, Spot, Stats};
pub use fragment::{FragmentLimits, FragmentStats, Fragments, Rebuilt};
pub use frame::{Frame, LinkType, Place};
#[doc(hidden)]
pub use fuzz::{fuzz_decode, fuzz_fragments, fuzz_reassembly};
pub use packet::{Packet, Sender, TcpHeader};
pub use time::Timestamp;
pub use tunnel::{Carrier, MAX_TUNNELS, Path, Step, Tunnel};
pub use tuple::{Direction, End, FiveTuple, FlowKey, Transport};

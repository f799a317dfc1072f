//! What `Sec-WebSocket-Extensions` of the answer says about per-message deflate (RFC 6455 §9.1, RFC 7692 §7.1).

use super::Deflate;

/// Per-message deflate as the answer accepts it: from client to server, and from server to client. `None` if the answer
/// does not name it. Values of several header lines are to be joined by commas. Parameters that are unknown or out
/// of range are taken as absent.
pub fn negotiated(extensions_header: &str) -> Option<(Deflate, Deflate)> {
    let parameters = extensions_header.split(',').find_map(|extension| {
        let (name, parameters) = extension.split_once(';').unwrap_or((extension, ""));
        name.trim().eq_ignore_ascii_case("permessage-deflate").then_some(parameters)
    })?;
    let (mut client, mut server) = (Deflate::default(), Deflate::default());
    for parameter in parameters.split(';') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let bits = || value.trim().trim_matches('"').parse().ok().filter(|bits| (8..=15).contains(bits)).unwrap_or(15);
        match name.trim().to_ascii_lowercase().as_str() {
            "client_no_context_takeover" => client.no_context_takeover = true,
            "server_no_context_takeover" => server.no_context_takeover = true,
            "client_max_window_bits" => client.window_bits = bits(),
            "server_max_window_bits" => server.window_bits = bits(),
            _ => {}
        }
    }
    Some((client, server))
}

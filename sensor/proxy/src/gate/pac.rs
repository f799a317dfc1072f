//! The file that tells browsers and systems to use the proxy.

use super::authority::Authority;
use bytes::Bytes;
use http::HeaderValue;
use std::net::SocketAddr;

/// The file for who asks for it: all goes through the listener, by the address under which it was asked for the file
/// (`host`, the value of `Host`), or else `local`, the one that was connected to. Names without a dot and addresses of
/// local networks go direct. Nothing goes direct because the proxy does not answer.
pub(crate) fn pac(host: Option<&HeaderValue>, local: SocketAddr) -> Bytes {
    let asked = host.and_then(|value| value.to_str().ok()).and_then(|text| Authority::parse(text, Some(local.port())));
    // Only letters, digits and `-_.:[]` can be in it: nothing that ends the string.
    let proxy =
        asked.map_or_else(|| SocketAddr::new(local.ip().to_canonical(), local.port()).to_string(), |at| at.to_string());
    format!(
        r#"function FindProxyForURL(url, host) {{
  host = host.toLowerCase().replace(/^\[|\]$/g, "").replace(/\.$/, "");
  var local = /^(127|10|169\.254|192\.168|172\.(1[6-9]|2[0-9]|3[01]))(\.[0-9]+)+$/;
  var local6 = /^(::1$|fe[89ab][0-9a-f]:|f[cd][0-9a-f][0-9a-f]:)/;
  var address = /^[0-9.]+$/.test(host), address6 = host.indexOf(":") >= 0;
  if (address ? local.test(host) : address6 ? local6.test(host) : host.indexOf(".") < 0 || /\.(localhost|local)$/.test(host)) {{
    return "DIRECT";
  }}
  return "PROXY {proxy}";
}}
"#
    )
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxy_is_named_as_the_client_reached_it() {
        for (host, local, want) in [
            (Some("proxy.corp.example:3128"), "10.0.0.1:3128", "PROXY proxy.corp.example:3128"),
            (Some("Proxy.corp.example"), "10.0.0.1:3128", "PROXY proxy.corp.example:3128"),
            (Some("[::1]:8080"), "[::1]:3128", "PROXY [::1]:8080"),
            (None, "10.0.0.1:3128", "PROXY 10.0.0.1:3128"),
            (None, "[::ffff:10.0.0.1]:3128", "PROXY 10.0.0.1:3128"),
            (None, "[2001:db8::1]:3128", "PROXY [2001:db8::1]:3128"),
            (Some("x\"; alert(1); \""), "10.0.0.1:3128", "PROXY 10.0.0.1:3128"),
            (Some("a.example;DIRECT"), "10.0.0.1:3128", "PROXY 10.0.0.1:3128"),
            (Some("a\\u0022"), "10.0.0.1:3128", "PROXY 10.0.0.1:3128"),
            (Some(""), "10.0.0.1:3128", "PROXY 10.0.0.1:3128"),
        ] {
            let host = host.map(|text| HeaderValue::from_str(text).unwrap());
            let file = pac(host.as_ref(), local.parse().unwrap());
            let file = std::str::from_utf8(&file).unwrap();
            assert!(file.contains(&format!("return \"{want}\";\n")), "{host:?} {file}");
            assert_eq!(file.matches("DIRECT").count(), 1, "{file}");
        }
    }
}

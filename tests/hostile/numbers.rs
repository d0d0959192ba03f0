//! Numbers in what monitoring is asked.

use crate::server;
use crate::support::process::page;
use crate::support::raw::Raw;

/// Edges of the numbers that somebody may reckon with.
const EDGES: [&str; 15] = [
    "0",
    "1",
    "-1",
    "2147483647",
    "2147483648",
    "-2147483649",
    "4294967295",
    "4294967296",
    "9223372036854775806",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "99999999999999999999999999",
];

/// Every listing, every pair of edges as a page of it: an answer or a clear refusal, and the server lives.
#[test]
fn numbers_of_monitoring_at_their_edges() {
    let server =
        server(2, "cluster { name: c, listen: \"127.0.0.1:-1\" }\ngateway { name: c, listen: \"127.0.0.1:-1\" }");
    let mut client = Raw::connect(server.clients());
    client.write(b"CONNECT {\"verbose\":false}\r\nSUB a 1\r\nSUB b.* 2\r\n");
    client.barrier();
    for path in ["/connz", "/subsz", "/routez", "/gatewayz", "/accstatz", "/accountz", "/leafz", "/jsz"] {
        for offset in EDGES {
            for limit in EDGES {
                let asked = format!("{path}?offset={offset}&limit={limit}&subs=1");
                let answer = page(server.monitor(), &asked);
                match &answer {
                    Ok(text) => assert!(text.starts_with('{') || text.starts_with('['), "{asked}: {text}"),
                    Err(e) => assert!(e.to_string().contains(" 400 "), "{asked}: {e}"),
                }
            }
        }
        for name in ["cid", "state", "sort", "auth", "subs", "test", "acc", "user", "mqtt_client", "filter_subject"] {
            for edge in EDGES {
                let asked = format!("{path}?{name}={edge}");
                if let Err(e) = page(server.monitor(), &asked) {
                    assert!(e.to_string().contains(" 400 ") || e.to_string().contains(" 404 "), "{asked}: {e}");
                }
            }
        }
    }
    assert_eq!(client.barrier(), [b"PONG\r\n".to_vec()]);
    assert!(!server.output().contains("panicked"), "{}", server.output());
}

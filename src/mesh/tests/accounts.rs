//! Connections that a nats-server makes for one account only (cluster-protocol.md §3.9).

use super::handshake::{dialing, info, open, Bench, CONNECT};
use crate::base::Level;
use crate::mesh::Cause;

#[test]
fn a_connection_for_one_account_is_left_alone() {
    let mut bench = Bench::acceptor(open());
    bench.hear(CONNECT).hear(&info("PEER", ",\"route_account\":\"$SYS\""));
    bench.hear(&"RS+ foo\r\n".repeat(50_000));
    bench.after(30_000);
    assert!(!bench.closed && bench.given.is_empty() && bench.written.is_empty());
    bench.after(31_000);
    assert!(bench.closed);
}

/// nats-server gives the connection up by itself once it has our INFO: nothing that anybody must look at. Another refusal
/// is, and so is this one of who was dialed: we ask for no such connection.
#[test]
fn a_connection_for_one_account_that_is_given_up_is_no_warning() {
    let refusal = "-ERR 'Not possible to have a dedicated route for account \"$SYS\" between those servers'\r\n";
    let levels = |bench: &Bench| {
        let said = bench.log.iter().filter(|(_, text)| text.contains("refused us"));
        said.map(|(level, _)| *level).collect::<Vec<_>>()
    };
    let mut bench = Bench::acceptor(open());
    bench.hear(CONNECT).hear(refusal);
    assert!(bench.closed && bench.failed(Cause::Account) == 1 && bench.failed(Cause::Refused) == 0);
    assert_eq!(levels(&bench), [Level::Debug]);
    let mut bench = Bench::acceptor(open());
    bench.hear(CONNECT).hear("-ERR 'No way'\r\n");
    assert_eq!((bench.failed(Cause::Refused), levels(&bench)), (1, vec![Level::Warn]));
    let mut bench = Bench::dialer(dialing());
    bench.hear(refusal);
    assert_eq!((bench.failed(Cause::Refused), levels(&bench)), (1, vec![Level::Warn]));
}

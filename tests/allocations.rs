//! On the path of a message nothing is allocated: not for the message, not for any of its copies.

#[path = "support/counting.rs"]
mod counting;

#[path = "support/driven.rs"]
mod driven;

use counting::allocations;
use driven::Driven;
use turnpike::policy::Settings;

#[test]
fn a_message_and_its_copies_cost_no_allocation() {
    for (name, near, far, members, reply) in [
        ("nobody", 0, 0, 0, ""),
        ("one", 1, 0, 0, ""),
        ("ten", 10, 0, 0, "re "),
        ("both shards", 2, 3, 0, ""),
        ("queue groups on both shards", 0, 0, 2, "re "),
        ("everything", 1, 2, 3, "re "),
    ] {
        let mut pair = Driven::new(2, Settings::default());
        for i in 0..near {
            pair.client(0, &format!("SUB a.* {i}\r\n"));
        }
        for i in 0..far {
            pair.client(1, &format!("SUB a.b {i}\r\n"));
        }
        for i in 0..members {
            for shard in [0, 1] {
                pair.client(shard, &format!("SUB a.b left {i}\r\nSUB a.> right 1{i}\r\n"));
            }
        }
        let publisher = pair.client(0, "");
        const MESSAGES: u64 = 300;
        let data = format!("PUB a.b {reply}16\r\n0123456789abcdef\r\n").repeat(MESSAGES as usize);
        for _ in 0..10 {
            pair.say(0, publisher, data.as_bytes());
        }
        let (before, written) = (allocations(), pair.written);
        for _ in 0..20 {
            pair.say(0, publisher, data.as_bytes());
        }
        let spent = allocations() - before;
        let groups = if members > 0 { 2 } else { 0 };
        let copies = (near + far + groups) as usize * 20 * MESSAGES as usize;
        assert!(pair.written - written >= copies * 16, "{name}: every copy was written");
        // The lists of this test's own driver, a turn: none of them grows with the messages.
        assert!(spent <= 20 * 4, "{name}: {spent} allocations in 20 turns of {MESSAGES} messages");
    }
}

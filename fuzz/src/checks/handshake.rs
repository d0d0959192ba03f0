//! The handshake of routes, on either side: whatever is said in whatever pieces, the mesh is total; nothing is registered
//! before CONNECT and INFO were right, nothing is said after the end, and every link ends or registers in time.

use turnpike::base::{Cid, Now, Time, SECOND};
use turnpike::mesh::{Act, Dial, Identity, Mesh, Setup};
use turnpike::policy::{Cluster, RouteLogin, RouteUrl};

/// The link under test.
const LINK: Cid = Cid(1);

/// The first byte picks the side (and whether a password is asked for), the second the length of the pieces; the rest is
/// what the peer says.
pub fn check(data: &[u8]) {
    let [side, piece, said @ ..] = data else { return };
    let (dialer, guarded) = (side & 1 == 1, side & 2 == 2);
    let mut mesh = Mesh::new(setup(guarded), now(1));
    mesh.time(now(1));
    let dials: Vec<Dial> = acts(&mut mesh).0;
    match dials.first() {
        Some(dial) if dialer => mesh.dialed(*dial, Ok((LINK, "10.0.0.2".into(), 6222))),
        _ => mesh.accepted(LINK, "10.0.0.2", 5000),
    }
    let (mut ended, mut given) = (false, false);
    for piece in said.chunks(usize::from(*piece).max(1)) {
        mesh.bytes(LINK, piece);
        let (_, closed, gave, wrote) = acts(&mut mesh);
        assert!(
            !(ended || given) || (!closed && !gave && !wrote),
            "something happened to a link that is none any more"
        );
        assert!(!(closed && gave), "closed and given at a time");
        (ended, given) = (ended || closed, given || gave);
    }
    if given {
        let text = String::from_utf8_lossy(said).to_lowercase();
        assert!(text.contains("info"), "registered without an INFO");
        assert!(dialer || text.contains("connect"), "registered without a CONNECT");
        assert!(dialer || !guarded || text.contains("secret"), "registered without the password");
    }
    // No link is left in handshake after the longest wait there is.
    for second in 2..100 {
        mesh.time(now(second));
        ended |= acts(&mut mesh).1;
    }
    assert!(ended || given, "a link neither ended nor became a route");
}

fn now(second: u64) -> Now {
    Now { mono: Time(second * SECOND), wall_ns: second * SECOND }
}

/// Takes all outputs: dials, whether the link was closed, given, written to.
fn acts(mesh: &mut Mesh) -> (Vec<Dial>, bool, bool, bool) {
    let mut out = (Vec::new(), false, false, false);
    while let Some(act) = mesh.poll() {
        match act {
            Act::Dial { dial, .. } => out.0.push(dial),
            Act::Close { link: LINK } => out.1 = true,
            Act::Give { link: LINK, .. } => out.2 = true,
            Act::Write { link: LINK, bytes } => {
                assert!(bytes.ends_with(b"\r\n"), "half a line");
                out.3 = true;
            }
            Act::Log { text, .. } => {
                assert!(text.len() < 2048 && !text.contains(|c: char| c.is_control()), "{text:?} in the log");
            }
            _ => {}
        }
    }
    out
}

fn setup(guarded: bool) -> Setup {
    let login = RouteLogin { user: "u".into(), password: "secret".into() };
    let cluster = Cluster {
        tls: None,
        name: Some("c".into()),
        listen: None,
        advertise: None,
        no_advertise: false,
        login: guarded.then_some(login),
        auth_timeout: std::time::Duration::from_secs(2),
        stranger_bytes_max: 4096,
        routes: vec![RouteUrl { host: "10.0.0.2".into(), port: 6222, login: None }],
        connect_retries: 0,
        ping_interval: std::time::Duration::from_secs(30),
        peer_timeout: std::time::Duration::from_secs(5),
        permissions: None,
        unready_without_mesh: false,
    };
    let identity = Identity {
        server_id: "ME".into(),
        server_name: "me".into(),
        host: "10.0.0.1".into(),
        port: 6222,
        max_payload: 1 << 20,
        headers: true,
    };
    Setup { shards: 1, seed: 1, cluster, identity }
}

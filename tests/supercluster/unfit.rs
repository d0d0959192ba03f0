//! Rules of borders that do not fit between two clusters: each side names the lines of both.

use crate::support::cluster::{await_log, free_port, WHOLE};
use crate::support::process::until;
use crate::support::raw::PATIENCE;
use crate::support::server::{shard_args, Server, Start, Which};
use crate::support::supercluster::{entries, gatewayz, linked};
use crate::turnpike_is_tested;

/// Rules begin on line 4.
fn conf(cluster: &str, port: u16, list: &str, rules: &str) -> String {
    format!("server_name: {cluster}0\ngateway {{ name: {cluster}, listen: \"127.0.0.1:{port}\", gateways: {list}\n\n{rules}\n}}\n")
}

fn start(conf: &str) -> Server {
    let which = Which::under_test();
    Server::from(Start::new(&which, conf, &shard_args(&which, 2)))
}

/// The texts of all troubles, by kind.
fn troubles(server: &Server) -> Vec<(String, String)> {
    let page = gatewayz(server);
    let all = page["turnpike"]["troubles"].as_array().cloned().unwrap_or_default();
    let text = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_string();
    all.iter().map(|t| (text(&t["kind"]), text(&t["text"]))).collect()
}

fn await_trouble(server: &Server, kind: &str, words: &str) {
    until(&format!("/gatewayz tells of {kind}: {words}"), PATIENCE, || {
        troubles(server).iter().any(|(k, text)| k == kind && text.contains(words)).then_some(())
    });
    await_log(server, words);
}

#[test]
fn rules_that_do_not_fit_are_named_with_their_lines_on_both_sides_until_they_do() {
    if !turnpike_is_tested() {
        return;
    }
    let (a, b) = (free_port(), free_port());
    let exports = "exports {\n  - subject: \"public.>\"\n    to: B\n  - subject: \"shared.*\"\n}";
    let imports = "imports {\n  - subject: \"other.>\"\n    from: A\n  - subject: shared.a\n}";
    let east = start(&conf("A", a, "[]", exports));
    let west = start(&conf("B", b, &entries(&[("A", &[a])]), imports));
    let export = "exports line 5: \"public.>\" to \"B\"";
    let import = "imports line 5: \"other.>\" from \"A\"";
    await_trouble(&east, "export_not_imported", &format!("\"B\" does not import what this cluster exports: {export}"));
    await_trouble(&east, "import_not_exported_here", &format!("its {import}"));
    await_trouble(&west, "import_not_exported", &format!("\"A\" does not export what this cluster imports: {import}"));
    await_trouble(&west, "export_not_imported_here", &format!("its {export}"));
    let (ours, theirs) = (gatewayz(&east)["turnpike"].clone(), gatewayz(&west)["turnpike"].clone());
    assert_eq!(ours["border"]["exports"], 2);
    assert_eq!(ours["border"], theirs["remotes"][0]["border"]);
    assert_eq!(theirs["border"], ours["remotes"][0]["border"]);
    assert_eq!((&ours["remotes"][0]["enforces_borders"], &theirs["border"]["imports"]), (&true.into(), &2.into()));
    // Put right on one side, without an end of any link.
    let links = [linked(&east), linked(&west)];
    west.reload(&conf("B", b, &entries(&[("A", &[a])]), &imports.replace("other", "public")));
    for server in [&east, &west] {
        until("nothing is amiss", WHOLE, || troubles(server).is_empty().then_some(()));
    }
    assert_eq!([linked(&east), linked(&west)], links);
}

//! `/`: a page for people with links to the endpoints. Pure.

use crate::{NATS_VERSION, TURNPIKE_VERSION};

/// What is linked, with its name.
const LINKS: [(&str, &str); 13] = [
    ("varz", "General"),
    ("connz", "Connections"),
    ("subsz", "Subscriptions"),
    ("accountz", "Accounts"),
    ("accstatz", "Account statistics"),
    ("routez", "Routes"),
    ("gatewayz", "Gateways"),
    ("explain", "Would it cross?"),
    ("reloadz", "What would a reload change?"),
    ("metrics", "Metrics for Prometheus"),
    ("leafz", "Leaf nodes"),
    ("jsz", "JetStream"),
    ("healthz", "Health"),
];

/// The page; `base` is the prefix of all paths, without a slash at its end.
pub fn index(base: &str) -> String {
    let base = base.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>Turnpike</title></head>\n<body>\n\
         <h1>Turnpike {TURNPIKE_VERSION}</h1>\n<p>Speaks NATS as nats-server {NATS_VERSION} does.</p>\n<ul>\n"
    );
    for (path, name) in LINKS {
        page.push_str(&format!("<li><a href=\"{base}/{path}\">{name}</a> /{path}</li>\n"));
    }
    page.push_str("</ul>\n</body>\n</html>\n");
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_every_endpoint_below_the_base() {
        assert!(index("").contains("href=\"/varz\""));
        let page = index("/mon\"<");
        for (path, _) in LINKS {
            assert!(page.contains(&format!("href=\"/mon&quot;&lt;/{path}\"")));
        }
    }
}

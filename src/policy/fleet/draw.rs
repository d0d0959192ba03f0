//! The topology of a fleet with the number of its connections, as text, Mermaid or SVG.

use super::member::{clusters, Member};
use crate::base::limits::FLEET_DRAWN_MAX;
use std::fmt::Write;

/// Width and height of a cluster's box, and what lies between two.
const BOX: (usize, usize, usize) = (220, 130, 60);

/// How it is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Lines of text.
    Text,
    /// A diagram for Markdown.
    Mermaid,
    /// An image.
    Svg,
}

impl Form {
    /// The form of this name.
    pub fn named(name: &str) -> Option<Form> {
        match name {
            "text" => Some(Form::Text),
            "mermaid" => Some(Form::Mermaid),
            "svg" => Some(Form::Svg),
            _ => None,
        }
    }
}

struct Cluster<'a> {
    name: &'a str,
    servers: Vec<&'a str>,
    /// It has a gateway.
    far: bool,
}

impl Cluster<'_> {
    fn routes(&self) -> usize {
        self.servers.len() * self.servers.len().saturating_sub(1) / 2
    }

    fn named(&self) -> String {
        let more = self.servers.len().saturating_sub(FLEET_DRAWN_MAX);
        let names = self.servers.iter().take(FLEET_DRAWN_MAX).copied().collect::<Vec<_>>().join(", ");
        if more > 0 {
            format!("{names}, and {more} more")
        } else {
            names
        }
    }

    fn title(&self) -> &str {
        if self.name.is_empty() {
            "without a name"
        } else {
            self.name
        }
    }
}

/// Draws it.
pub fn draw(members: &[Member], form: Form) -> String {
    let drawn: Vec<Cluster<'_>> = clusters(members)
        .into_iter()
        .map(|(name, all)| Cluster {
            name,
            far: all.iter().any(|m| m.settings.gateway.is_some()),
            servers: all.iter().map(|m| m.name()).collect(),
        })
        .collect();
    let alone: Vec<&str> = members
        .iter()
        .filter(|m| m.settings.cluster.is_none() && m.settings.gateway.is_none())
        .map(|m| m.name())
        .collect();
    match form {
        Form::Text => text(&drawn, &alone),
        Form::Mermaid => mermaid(&drawn, &alone),
        Form::Svg => svg(&drawn, &alone),
    }
}

/// Gateway connections between two clusters: each server of each dials one of the other.
fn links(a: &Cluster<'_>, b: &Cluster<'_>) -> usize {
    if a.far && b.far {
        a.servers.len() + b.servers.len()
    } else {
        0
    }
}

fn pairs<'a>(clusters: &'a [Cluster<'a>]) -> impl Iterator<Item = (usize, usize, usize)> + 'a {
    let all = clusters.iter().enumerate();
    all.flat_map(|(i, a)| clusters.iter().enumerate().skip(i + 1).map(move |(j, b)| (i, j, links(a, b))))
        .filter(|(_, _, n)| *n > 0)
}

fn text(clusters: &[Cluster<'_>], alone: &[&str]) -> String {
    let mut out = String::new();
    for c in clusters {
        let (n, routes) = (c.servers.len(), c.routes());
        let _ = writeln!(out, "cluster {}: {n} servers, {routes} routes: {}", c.title(), c.named());
    }
    for (i, j, n) in pairs(clusters) {
        let _ = writeln!(out, "  {} <-> {}: {n} gateway connections", clusters[i].title(), clusters[j].title());
    }
    if !alone.is_empty() {
        let _ = writeln!(out, "alone: {}", alone.join(", "));
    }
    let routes: usize = clusters.iter().map(Cluster::routes).sum();
    let gateways: usize = pairs(clusters).map(|(_, _, n)| n).sum();
    let _ = writeln!(out, "connections between servers: {} ({routes} routes, {gateways} gateways)", routes + gateways);
    out
}

/// As text that stands between quotes in a diagram.
fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if matches!(c, '"' | '<' | '>' | '&' | '[' | ']') || c.is_control() { '_' } else { c })
        .collect()
}

fn mermaid(clusters: &[Cluster<'_>], alone: &[&str]) -> String {
    let mut out = String::from("graph LR\n");
    for (i, c) in clusters.iter().enumerate() {
        let _ = writeln!(
            out,
            "  c{i}[\"{}<br/>{} servers, {} routes<br/>{}\"]",
            clean(c.title()),
            c.servers.len(),
            c.routes(),
            clean(&c.named())
        );
    }
    for (i, j, n) in pairs(clusters) {
        let _ = writeln!(out, "  c{i} ---|{n}| c{j}");
    }
    for (i, name) in alone.iter().enumerate() {
        let _ = writeln!(out, "  a{i}[\"{}\"]", clean(name));
    }
    out
}

fn svg(clusters: &[Cluster<'_>], alone: &[&str]) -> String {
    let (width, height, gap) = BOX;
    let columns = (clusters.len() as f64).sqrt().ceil().max(1.0) as usize;
    let at = |i: usize| (gap + i % columns * (width + gap), gap + i / columns * (height + gap));
    let middle = |i: usize| {
        let (x, y) = at(i);
        (x + width / 2, y + height / 2)
    };
    let (w, h) = (gap + columns * (width + gap), gap + clusters.len().div_ceil(columns) * (height + gap) + gap);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" font-family=\"sans-serif\" font-size=\"12\">\n"
    );
    for (i, j, n) in pairs(clusters) {
        let ((x1, y1), (x2, y2)) = (middle(i), middle(j));
        let _ = writeln!(out, "<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\" stroke=\"#888\"/>");
        let _ = writeln!(out, "<text x=\"{}\" y=\"{}\" fill=\"#555\">{n}</text>", (x1 + x2) / 2, (y1 + y2) / 2 - 4);
    }
    for (i, c) in clusters.iter().enumerate() {
        let (x, y) = at(i);
        let _ = writeln!(
            out,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"6\" fill=\"#fff\" stroke=\"#333\"/>"
        );
        let title = format!("{}: {} servers, {} routes", c.title(), c.servers.len(), c.routes());
        let lines = std::iter::once(title.as_str()).chain(c.servers.iter().copied().take(FLEET_DRAWN_MAX - 1));
        for (n, line) in lines.enumerate() {
            let line: String = clean(line).chars().take(32).collect();
            let _ = writeln!(out, "<text x=\"{}\" y=\"{}\">{line}</text>", x + 8, y + 16 + 14 * n);
        }
    }
    if !alone.is_empty() {
        let _ = writeln!(out, "<text x=\"8\" y=\"{}\">alone: {}</text>", h - 8, clean(&alone.join(", ")));
    }
    out.push_str("</svg>\n");
    out
}

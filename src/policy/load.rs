//! From a path and a command line to [`Settings`](super::Settings): the one way in for a start, for `-t` and for a
//! reload, so that what is found valid will start. Called by the shell and by `cli`.

use super::invalid::Invalid;
use super::model::{self, Loaded};
use super::operator;
use super::overrides::Overrides;
use super::places::Places;
use super::source::{opened, Source};
use super::tree::{invalid, At, Tree};
use super::{conf, file};
use crate::base::limits::CONF_FILE_BYTES_MAX;
use std::path::Path;

/// Loads the file `path` alone.
///
/// # Errors
/// All mistakes in it at once; a syntax error in a `.conf` alone.
pub fn load(path: &Path, source: &mut dyn Source) -> Result<Loaded, Vec<Invalid>> {
    load_with(Some(path), &Overrides::default(), source)
}

/// Loads the file, if any, with the command line before it. A name that ends in `.toml` is TOML, any other is
/// nats-server's grammar.
///
/// # Errors
/// All mistakes at once; a syntax error in a `.conf` alone.
pub fn load_with(path: Option<&Path>, over: &Overrides, source: &mut dyn Source) -> Result<Loaded, Vec<Invalid>> {
    let Some(path) = path else { return model::settings(&Tree::default(), over, operator::Files::new()) };
    let tree = read(path, source)?;
    let files = operator::files(&tree, source);
    let mut loaded = model::settings(&tree, over, files)?;
    loaded.settings.digest = tree.digest();
    if tree.root.entries().is_empty() {
        loaded.deprecations.push(invalid(&tree.files, At::default(), "", "config has no values or is empty"));
    }
    let idle = std::mem::take(&mut loaded.places.idle);
    loaded.places = Places::of(&tree);
    loaded.places.idle = idle;
    loaded.files = tree.files;
    Ok(loaded)
}

/// What is written, whatever the spelling.
pub(super) fn read(path: &Path, source: &mut dyn Source) -> Result<Tree, Vec<Invalid>> {
    let bytes = opened(source, path).map_err(|why| vec![Invalid::nowhere("", why)])?;
    if bytes.len() > CONF_FILE_BYTES_MAX {
        let text = format!("{} is larger than {CONF_FILE_BYTES_MAX} bytes", path.display());
        return Err(vec![Invalid::nowhere("", text)]);
    }
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("toml")) {
        file::read(path, bytes)
    } else {
        conf::read(path, bytes, source).map_err(|e| vec![e])
    }
}

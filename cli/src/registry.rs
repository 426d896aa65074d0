//! The components that a command works with: built-ins, and the plugins that can be found, held to a lock file if asked.

use crate::Failure;
use inferometer_host::{Discovery, HostError, Lock, Refusal, Registry, read_relied_on};
use inferometer_model::{config::RawConfig, file::PluginSettings};
use std::path::{Path, PathBuf};

/// The lock file unless another one is named.
pub(crate) const LOCK_FILE: &str = "inferometer-plugins.lock";
/// The most bytes that a lock file may have; a library takes some hundred.
const LONGEST: u64 = 16 << 20;
/// What a lock file begins with.
pub(crate) const LOCK_HEADING: &str = "# Written by `inferometer plugins lock`: the plugin libraries of a run, byte for byte. Keep it with the configuration;\n\
     # `--locked` lets a run use these and no others.\n\n";

/// All components of the places that the settings and the environment name. No library is opened.
pub(crate) fn registry(settings: &RawConfig, plugins: &PluginSettings) -> Result<Registry, Failure> {
    let explicit = settings.plugin.iter().map(PathBuf::from).collect();
    let mut discovery = Discovery::from_environment(explicit, plugins.path.clone());
    discovery.allow_unsafe_permissions = settings.allow_unsafe_permissions.unwrap_or_default();
    let mut registry = Registry::discover(&discovery).map_err(Failure::usage)?;
    registry.prefer(&plugins.prefer).map_err(Failure::usage)?;
    if let Some(file) = lock_file(settings) {
        hold(&mut registry, file, discovery.allow_unsafe_permissions)?;
    }
    Ok(registry)
}

/// The lock file that plugins are held to, if they are. Naming one is enough.
fn lock_file(settings: &RawConfig) -> Option<&Path> {
    let file = settings.lock_file.as_deref();
    settings.locked.unwrap_or(file.is_some()).then(|| file.unwrap_or(Path::new(LOCK_FILE)))
}

fn hold(registry: &mut Registry, file: &Path, allow_unsafe: bool) -> Result<(), Failure> {
    let remedy = match file == Path::new(LOCK_FILE) {
        true => "`inferometer plugins lock`".to_owned(),
        false => format!("`inferometer plugins lock --lock-file {}`", file.display()),
    };
    let wrong = |why: &str| Failure::usage(format!("--locked: {}: {why}", file.display()));
    let bytes = read_relied_on(file, LONGEST, allow_unsafe).map_err(|refusal| match refusal {
        Refusal::Unreadable(error) => {
            wrong(&format!("{error}; write it with {remedy} and the same flags, or leave --locked out"))
        }
        refusal => wrong(&refusal.to_string()),
    })?;
    let text = String::from_utf8_lossy(&bytes);
    let again = format!("write it anew with {remedy} and the same flags");
    let lock: Lock = toml::from_str(&text).map_err(|error| wrong(&format!("it is no lock file; {again}\n{error}")))?;
    if !lock.is_readable() {
        return Err(wrong(&format!("it was written by a later version of this program; {again}")));
    }
    registry.hold_to(&lock).map_err(|error| match error {
        HostError::NotLocked(_) => wrong(&format!(
            "{error}\nput the locked libraries back; or, if these are the ones you mean, accept them with {remedy} and the same flags"
        )),
        error => Failure::usage(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_are_held_to_a_lock_file_when_that_is_asked_or_one_is_named_unless_it_is_turned_off() {
        let file = |locked: Option<bool>, lock_file: Option<&str>| {
            let settings = RawConfig { locked, lock_file: lock_file.map(PathBuf::from), ..RawConfig::default() };
            super::lock_file(&settings).map(Path::to_owned)
        };
        assert_eq!(file(None, None), None);
        assert_eq!(file(Some(true), None), Some(LOCK_FILE.into()));
        assert_eq!(file(None, Some("ci.lock")), Some("ci.lock".into()));
        assert_eq!(file(Some(true), Some("ci.lock")), Some("ci.lock".into()));
        assert_eq!(file(Some(false), Some("ci.lock")), None);
    }
}

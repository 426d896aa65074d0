//! What a server that has nothing at the endpoint's path has elsewhere.

use super::{Site, models::MODELS};
use inferometer_abi::documents::Kind;
use inferometer_host::Origin;
use std::{
    cmp::Reverse,
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Longest time that is spent on finding out which paths there are.
const LOOKING: Duration = Duration::from_secs(5);
/// Paths that are named at most.
const MOST_NAMED: usize = 4;
/// What nearly every server answers.
const SIGNS: [&str; 2] = [MODELS, "/health"];

/// A path that is answered.
pub(super) struct Sign {
    pub(super) path: String,
    /// It is not below the URL that the user gave, but at the server's root.
    pub(super) lies_above: bool,
}

impl Site<'_> {
    /// Whether the server is up at all, which tells a wrong path from one that is not there yet.
    pub(super) async fn sign_of_life(&self) -> Option<Sign> {
        let mut root = self.url.clone();
        root.set_query(None);
        for lies_above in [false, true] {
            if lies_above && self.url.path() == "/" {
                break;
            }
            for path in SIGNS {
                root.set_path(path);
                let asked = if lies_above { root.as_str() } else { path };
                let answered = self.page("GET", asked).await;
                if answered.is_ok_and(|page| page.is_good() || matches!(page.status, 401 | 403)) {
                    return Some(Sign { path: path.to_owned(), lies_above });
                }
            }
        }
        None
    }

    /// Some paths of the built-in endpoints that there are, other than `tried`, each with the endpoints that ask there:
    /// what is sent there is an empty object, which every API refuses.
    pub(super) async fn known_paths(&self, tried: &str, model: &str) -> Vec<String> {
        let mut known: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        let built_in =
            |entry: &&inferometer_host::Entry| entry.kind == Kind::Endpoint && entry.origin == Origin::BuiltIn;
        for entry in self.registry.entries().filter(built_in) {
            let Ok(made) = self.registry.endpoint(&format!("built-in:{}", entry.name), "{}") else { continue };
            let path = made.component.info().path;
            let path = crate::server::path_for(&path, model).unwrap_or(path);
            if !path.is_empty() && crate::base::join(self.url, &path) != tried {
                known.entry(path).or_default().push(&entry.name);
            }
        }
        let mut known: Vec<_> = known.into_iter().collect();
        // The likeliest first, should there be more than are named or no time to ask for all.
        known.sort_by_cached_key(|(path, _)| Reverse((strsim::jaro_winkler(path, tried) * 1e6) as u64));
        let begun = Instant::now();
        let mut found = Vec::new();
        for (path, endpoints) in known {
            if begun.elapsed() > LOOKING || found.len() == MOST_NAMED {
                break;
            }
            let answered = self.page("POST", &path).await;
            if answered.is_ok_and(|page| !matches!(page.status, 404 | 405 | 300..=399 | 501)) {
                found.push(format!("{path} (--endpoint-type {})", endpoints.join(" or ")));
            }
        }
        found
    }
}

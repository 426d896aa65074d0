//! Where plugin libraries may lie, and which files lie there.
//!
//! Earlier places come before later ones; the working directory is never one of them. Nothing is opened here.

use crate::{
    error::{HostError, Refusal, Skipped},
    trust,
};
use std::{
    collections::BTreeSet,
    env,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

const VARIABLE: &str = "INFEROMETER_PLUGIN_PATH";
const IN_DATA_HOME: &str = "inferometer/plugins";
const BESIDE_BINARY: &str = "plugins";
const ENDINGS: [&str; 2] = ["so", "dylib"];

/// The places to look for plugin libraries, in order of precedence. Folders are not searched recursively.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovery {
    /// Files and folders named on the command line. They have to be there, and a file has to be a plugin.
    pub explicit: Vec<PathBuf>,
    /// `INFEROMETER_PLUGIN_PATH`: absolute paths of files and folders, separated as in `PATH`.
    pub env: Option<OsString>,
    /// Absolute paths of files and folders from the configuration.
    pub config: Vec<PathBuf>,
    /// `$XDG_DATA_HOME` or `~/.local/share`; libraries lie in its folder `inferometer/plugins`.
    pub data_home: Option<PathBuf>,
    /// The folder `plugins` beside the program.
    pub beside: Option<PathBuf>,
    /// Take files and folders that others may write or own as well.
    pub allow_unsafe_permissions: bool,
}

/// A file that may be a plugin library.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its canonical path.
    pub(crate) path: PathBuf,
    /// Whether the user named this very file on the command line.
    pub(crate) named: bool,
    /// Number of the place it was found in; earlier places have smaller numbers.
    pub(crate) place: usize,
}

impl Discovery {
    /// The places that this process's environment says, behind those `explicit` on the command line.
    #[must_use]
    pub fn from_environment(explicit: Vec<PathBuf>, config: Vec<PathBuf>) -> Self {
        Self {
            explicit,
            config,
            ..Self::from_variables(
                |name| env::var_os(name),
                env::current_exe().and_then(fs::canonicalize).ok().as_deref(),
            )
        }
    }

    fn from_variables(variable: impl Fn(&str) -> Option<OsString>, program: Option<&Path>) -> Self {
        let folder = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        Self {
            env: variable(VARIABLE),
            data_home: folder("XDG_DATA_HOME").or_else(|| folder("HOME").map(|home| home.join(".local/share"))),
            beside: program.and_then(Path::parent).map(|folder| folder.join(BESIDE_BINARY)),
            ..Self::default()
        }
    }

    /// The user's own folder of libraries, which need not be there; none where no home folder is known.
    #[must_use]
    pub fn users_folder(&self) -> Option<PathBuf> {
        self.data_home.as_ref().map(|home| home.join(IN_DATA_HOME))
    }

    /// All files that may be plugin libraries, those of earlier places first, each once.
    pub(crate) fn find(&self, skipped: &mut Vec<Skipped>) -> Result<Vec<Found>, HostError> {
        let mut search =
            Search { found: Vec::new(), seen: BTreeSet::new(), place: 0, allow: self.allow_unsafe_permissions };
        for path in &self.explicit {
            search.explicit(path, skipped)?;
        }
        // An empty element would mean the working directory.
        let listed = self.env.iter().flat_map(env::split_paths).filter(|path| !path.as_os_str().is_empty());
        for path in listed.chain(self.config.iter().cloned()) {
            search.listed(path, skipped);
        }
        let usual = self.users_folder().into_iter().chain(self.beside.clone());
        for path in usual {
            search.usual(path, skipped);
        }
        Ok(search.found)
    }
}

struct Search {
    found: Vec<Found>,
    seen: BTreeSet<PathBuf>,
    place: usize,
    allow: bool,
}

impl Search {
    /// A path from the command line: whatever is wrong with it is an error.
    fn explicit(&mut self, path: &Path, skipped: &mut Vec<Skipped>) -> Result<(), HostError> {
        let canonical = fs::canonicalize(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => HostError::Missing { path: path.to_owned() },
            _ => HostError::Refused { path: path.to_owned(), reason: Refusal::Unreadable(error) },
        })?;
        if !canonical.is_dir() {
            self.add(canonical, true);
        } else if let Err(reason) = self.folder(&canonical, skipped) {
            match reason {
                Refusal::EmptyFolder => skipped.push(Skipped { path: path.to_owned(), reason }),
                reason => return Err(HostError::Refused { path: path.to_owned(), reason }),
            }
        }
        self.place += 1;
        Ok(())
    }

    /// A path from a list the user keeps: whatever is wrong with it is noted.
    fn listed(&mut self, path: PathBuf, skipped: &mut Vec<Skipped>) {
        let taken = if path.is_relative() { Err(Refusal::Relative) } else { self.take(&path, skipped) };
        if let Err(reason) = taken {
            skipped.push(Skipped { path, reason });
        }
        self.place += 1;
    }

    /// A folder that need not be there nor hold anything.
    fn usual(&mut self, path: PathBuf, skipped: &mut Vec<Skipped>) {
        match self.take(&path, skipped) {
            Ok(()) | Err(Refusal::EmptyFolder) => {}
            Err(Refusal::Unreadable(error)) if error.kind() == io::ErrorKind::NotFound => {}
            Err(reason) => skipped.push(Skipped { path, reason }),
        }
        self.place += 1;
    }

    fn take(&mut self, path: &Path, skipped: &mut Vec<Skipped>) -> Result<(), Refusal> {
        let canonical = fs::canonicalize(path).map_err(Refusal::Unreadable)?;
        if canonical.is_dir() {
            return self.folder(&canonical, skipped);
        }
        self.add(canonical, false);
        Ok(())
    }

    fn folder(&mut self, folder: &Path, skipped: &mut Vec<Skipped>) -> Result<(), Refusal> {
        trust::folder(folder, self.allow)?;
        let mut files = Vec::new();
        for file in fs::read_dir(folder).map_err(Refusal::Unreadable)? {
            let path = file.map_err(Refusal::Unreadable)?.path();
            if path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known)) {
                files.push(path);
            }
        }
        if files.is_empty() {
            return Err(Refusal::EmptyFolder);
        }
        files.sort();
        for path in files {
            match fs::canonicalize(&path) {
                Ok(canonical) => self.add(canonical, false),
                Err(error) => skipped.push(Skipped { path, reason: Refusal::Unreadable(error) }),
            }
        }
        Ok(())
    }

    fn add(&mut self, path: PathBuf, named: bool) {
        if self.seen.insert(path.clone()) {
            self.found.push(Found { path, named, place: self.place });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};

    /// A folder for one test, by its canonical path.
    fn folder() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a folder");
        let path = fs::canonicalize(dir.path()).expect("it exists");
        (dir, path)
    }

    fn touch(path: &Path) -> PathBuf {
        fs::create_dir_all(path.parent().expect("a file in a folder")).expect("a folder");
        fs::write(path, "").expect("a file");
        path.to_owned()
    }

    fn paths(discovery: &Discovery) -> (Vec<PathBuf>, Vec<String>) {
        let mut skipped = Vec::new();
        let found = discovery.find(&mut skipped).expect("nothing explicit is wrong");
        (found.into_iter().map(|f| f.path).collect(), skipped.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn places_come_in_order_of_precedence_and_files_of_a_folder_by_name() {
        let (_dir, root) = folder();
        let beside = touch(&root.join("beside/z.so"));
        let home = touch(&root.join("data/inferometer/plugins/y.so"));
        let config = touch(&root.join("config/x.so"));
        let (b, a) = (touch(&root.join("env/b.dylib")), touch(&root.join("env/a.so")));
        touch(&root.join("env/readme.txt"));
        touch(&root.join("env/deeper/c.so"));
        let explicit = touch(&root.join("w.plugin"));
        let discovery = Discovery {
            explicit: vec![explicit.clone()],
            env: Some(root.join("env").into_os_string()),
            config: vec![config.clone()],
            data_home: Some(root.join("data")),
            beside: Some(root.join("beside")),
            allow_unsafe_permissions: false,
        };
        assert_eq!(paths(&discovery), (vec![explicit, a, b, config, home, beside], vec![]));
    }

    #[test]
    fn a_file_that_is_reached_twice_counts_once_and_for_its_first_place() {
        let (_dir, root) = folder();
        let file = touch(&root.join("real/a.so"));
        fs::create_dir(root.join("links")).expect("a folder");
        std::os::unix::fs::symlink(&file, root.join("links/b.so")).expect("a link");
        let discovery =
            Discovery { explicit: vec![file.clone()], config: vec![root.join("links")], ..Discovery::default() };
        let found = discovery.find(&mut Vec::new()).expect("all is there");
        assert_eq!(found, [Found { path: file, named: true, place: 0 }]);
    }

    #[test]
    fn a_missing_explicit_path_is_an_error_and_missing_usual_folders_are_nothing() {
        let (_dir, root) = folder();
        let discovery = Discovery { explicit: vec![root.join("no.so")], ..Discovery::default() };
        let error = discovery.find(&mut Vec::new()).expect_err("it is not there");
        assert!(error.to_string().contains("no.so: there is no such file or folder"), "{error}");

        let usual =
            Discovery { data_home: Some(root.join("no")), beside: Some(root.join("no")), ..Discovery::default() };
        assert_eq!(paths(&usual), (vec![], vec![]));
    }

    #[test]
    fn paths_that_depend_on_the_working_directory_are_not_followed() {
        let (found, skipped) = paths(&Discovery { env: Some("::src".into()), ..Discovery::default() });
        assert!(found.is_empty());
        assert_eq!(skipped.len(), 1);
        assert!(skipped[0].starts_with("src: it is a relative path"), "{skipped:?}");
    }

    #[test]
    fn listed_paths_that_are_missing_or_empty_and_dangling_links_are_noted() {
        let (_dir, root) = folder();
        fs::create_dir(root.join("empty")).expect("a folder");
        fs::create_dir(root.join("links")).expect("a folder");
        std::os::unix::fs::symlink(root.join("gone"), root.join("links/a.so")).expect("a link");
        let discovery =
            Discovery { config: ["missing", "empty", "links"].map(|f| root.join(f)).into(), ..Discovery::default() };
        let (found, skipped) = paths(&discovery);
        assert!(found.is_empty());
        assert!(skipped[0].contains("missing: it could not be read"), "{skipped:?}");
        assert!(skipped[1].contains("empty: the folder holds no file"), "{skipped:?}");
        assert!(skipped[2].contains("links/a.so: it could not be read"), "{skipped:?}");
    }

    #[test]
    fn a_folder_that_everyone_may_write_is_an_error_when_explicit_and_passed_over_otherwise() {
        let (_dir, root) = folder();
        touch(&root.join("open/a.so"));
        let open = root.join("open");
        fs::set_permissions(&open, Permissions::from_mode(0o777)).expect("own folder");

        let mut discovery = Discovery { explicit: vec![open.clone()], ..Discovery::default() };
        assert!(matches!(discovery.find(&mut Vec::new()), Err(HostError::Refused { .. })));
        discovery.allow_unsafe_permissions = true;
        assert_eq!(paths(&discovery).0.len(), 1);

        let (found, skipped) = paths(&Discovery { beside: Some(open), ..Discovery::default() });
        assert!(found.is_empty());
        assert!(skipped[0].contains("chmod o-w"), "{skipped:?}");
    }

    #[test]
    fn the_environment_says_where_the_usual_places_are() {
        let variables = |set: &'static [(&str, &str)]| {
            move |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        };
        let discovery = Discovery::from_variables(
            variables(&[("XDG_DATA_HOME", "/data"), ("HOME", "/home/a"), (VARIABLE, "/p:/q")]),
            Some(Path::new("/usr/bin/inferometer")),
        );
        assert_eq!(discovery.data_home.as_deref(), Some(Path::new("/data")));
        assert_eq!(discovery.users_folder().as_deref(), Some(Path::new("/data/inferometer/plugins")));
        assert_eq!(discovery.beside.as_deref(), Some(Path::new("/usr/bin/plugins")));
        assert_eq!(discovery.env.as_deref(), Some("/p:/q".as_ref()));

        let relative = Discovery::from_variables(variables(&[("XDG_DATA_HOME", "data"), ("HOME", "/home/a")]), None);
        assert_eq!(relative.data_home.as_deref(), Some(Path::new("/home/a/.local/share")));
        let none = Discovery::from_variables(variables(&[]), None);
        assert_eq!(none, Discovery::default());
    }
}

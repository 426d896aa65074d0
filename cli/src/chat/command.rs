//! Lines that are meant for the program and not for the model.

/// What `/help` shows.
pub(super) const HELP: &str = "\
/reset           forget what was said
/system [TEXT]   begin with this system message, or with none
/model [NAME]    ask this model from now on, or tell which is asked
/save FILE       write what was said, for `profile --input-file FILE`
/quit            end; so does Ctrl-D
Ctrl-C breaks off an answer. A line that begins with // is sent with one slash.";

/// A line that begins with one slash.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command<'a> {
    Reset,
    System(&'a str),
    Model(&'a str),
    Save(&'a str),
    Help,
    Quit,
    Unknown(&'a str),
}

impl<'a> Command<'a> {
    /// The command that `line` is, if it is one.
    pub(super) fn parse(line: &'a str) -> Option<Self> {
        let rest = line.strip_prefix('/').filter(|rest| !rest.starts_with('/'))?;
        let (name, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let rest = rest.trim();
        Some(match name {
            "reset" => Self::Reset,
            "system" => Self::System(rest),
            "model" => Self::Model(rest),
            "save" => Self::Save(rest),
            "help" | "?" => Self::Help,
            "quit" | "exit" => Self::Quit,
            name => Self::Unknown(name),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slash_begins_a_command_and_two_begin_a_text() {
        assert_eq!(Command::parse("/system  Be brief. "), Some(Command::System("Be brief.")));
        assert_eq!(Command::parse("/save a b.jsonl"), Some(Command::Save("a b.jsonl")));
        assert_eq!(Command::parse("/etc/hosts"), Some(Command::Unknown("etc/hosts")));
        assert_eq!(Command::parse("//etc/hosts"), None);
        assert_eq!(Command::parse("hello /quit"), None);
    }
}

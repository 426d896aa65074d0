//! `chat`: a conversation with a server, each answer shown as it comes and with what was measured of it. What is sent and
//! how it is measured is the load's; only lines, commands and the screen are made here.

mod args;
mod command;
mod conversation;
mod input;
mod screen;

pub(crate) use args::ChatArgs;

use crate::{Ended, Failure, registry::registry, terminal::say};
use command::Command;
use conversation::Conversation;
use inferometer_engine::{Answered, Control, Dialogue, Question};
use inferometer_model::{ExitCode, FailureKind, file, resolve::resolve, secret::shown_url};
use input::{Input, Line};
use screen::Screen;
use std::sync::{Mutex, PoisonError};

/// The answer that Ctrl-C breaks off.
static UNDER_WAY: Mutex<Option<Control>> = Mutex::new(None);

/// Runs `inferometer chat`.
pub(crate) fn run(args: &ChatArgs) -> Ended {
    if args.max_tokens.is_some_and(|count| count.0 == 0) {
        return Err(Failure::usage(
            "--max-tokens 0 would leave no answer; give 1 or more, or leave it out for no limit",
        ));
    }
    let (mut settings, plugins) =
        file::load(&args.settings(), args.places.config.as_deref()).map_err(Failure::usage)?;
    settings.server.streaming = Some(args.wants_streams(settings.server.streaming));
    let plan = resolve(&settings, &plugins, crate::profile::fresh_seed()).map_err(Failure::usage)?;
    let registry = registry(&settings, &plugins)?;
    let (model, endpoint) = (plan.models.first().cloned().unwrap_or_default(), plan.server.endpoint.clone());
    let url = plan.server.urls.first().map(shown_url).unwrap_or_default();
    let dialogue = Dialogue::new(plan, &registry)?;
    if !dialogue.produces_text() {
        return Err(Failure::usage(format!(
            "--endpoint-type {endpoint}: its answers are no text to talk with; give one whose are, such as chat, \
             completions, responses, messages, gemini or ollama"
        )));
    }
    if args.insists_on_streams() && !dialogue.streams() {
        return Err(Failure::usage(format!(
            "--streaming: the endpoint '{endpoint}' cannot stream; leave the flag out"
        )));
    }
    let mut input = Input::open()?;
    listen_for_interrupts(input.is_interactive());
    dialogue.wait_until_ready(&registry, &mut |waiting| eprintln!("{waiting}"))?;
    if input.is_interactive() {
        let how = if dialogue.streams() { ", streaming" } else { "" };
        say(format_args!("{model} · {endpoint}{how} · {url}\n/help lists the commands, Ctrl-D ends"));
    }
    let talk = Talk {
        dialogue: &dialogue,
        max_tokens: args.max_tokens.map_or(0, |count| u32::try_from(count.0).unwrap_or(u32::MAX)),
        conversation: Conversation::new(model, args.system.clone()),
        screen: Screen::new(),
        has_failed: false,
    };
    let has_failed = talk.go_on(&mut input)?;
    Ok(if has_failed && !input.is_interactive() { ExitCode::Unreachable } else { ExitCode::Ok })
}

/// A conversation under way.
struct Talk<'a> {
    dialogue: &'a Dialogue,
    max_tokens: u32,
    conversation: Conversation,
    screen: Screen,
    has_failed: bool,
}

impl Talk<'_> {
    /// Takes line after line, to the last; whether anything failed.
    fn go_on(mut self, input: &mut Input) -> Result<bool, Failure> {
        loop {
            match input.next()? {
                Line::End => return Ok(self.has_failed),
                Line::Interrupted => say("(Ctrl-D or /quit ends)"),
                Line::Text(text) => match Command::parse(&text) {
                    Some(Command::Quit) => return Ok(self.has_failed),
                    Some(command) => self.obey(&command),
                    None => {
                        let text = text.strip_prefix('/').unwrap_or(&text);
                        if !text.trim().is_empty() {
                            self.ask(text);
                        }
                    }
                },
            }
        }
    }

    fn ask(&mut self, text: &str) {
        let messages = self.conversation.asking(text);
        let question = Question { model: &self.conversation.model, messages: &messages, max_tokens: self.max_tokens };
        let control = Control::default();
        *under_way() = Some(control.clone());
        let answered = self.dialogue.ask(question, &control, &mut |piece| self.screen.show(piece));
        *under_way() = None;
        self.screen.end();
        self.conclude(text, answered);
    }

    fn conclude(&mut self, text: &str, answered: Answered) {
        let Answered { text: reply, reasoning, has_other, figures, failure } = answered;
        let reply = if reply.is_empty() { reasoning } else { reply };
        match failure {
            None if reply.is_empty() && has_other => say("(content that is no text)"),
            None => {}
            Some(failure) if failure.kind == FailureKind::Cancelled => say("(interrupted)"),
            Some(failure) => {
                self.has_failed = true;
                eprintln!("error: {}", screen::visible(&failure.to_string()));
                return;
            }
        }
        if let Some(line) = screen::figures(&figures) {
            self.screen.aside(&line);
        }
        if !reply.is_empty() {
            self.conversation.add(text, reply);
        }
    }

    fn obey(&mut self, command: &Command<'_>) {
        let done = match command {
            Command::Help => Ok(command::HELP.to_owned()),
            Command::Reset => Ok(self.conversation.reset()),
            Command::System(text) => Ok(self.conversation.instruct(text)),
            Command::Model(name) => Ok(self.conversation.address(name)),
            Command::Save(file) => self.conversation.save(file),
            Command::Unknown(name) => Err(format!(
                "there is no command /{name}; /help lists them, and //{name} sends the line with one slash"
            )),
            Command::Quit => return,
        };
        match done {
            Ok(done) => self.screen.aside(&done),
            Err(error) => {
                self.has_failed = true;
                eprintln!("error: {error}");
            }
        }
    }
}

fn under_way() -> std::sync::MutexGuard<'static, Option<Control>> {
    UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// On a terminal Ctrl-C breaks off the answer under way; without one it ends the program.
fn listen_for_interrupts(is_interactive: bool) {
    let listening = ctrlc::set_handler(move || match under_way().take() {
        Some(control) if is_interactive => control.stop(),
        _ => std::process::exit(i32::from(ExitCode::Interrupted as u8)),
    });
    if let Err(error) = listening {
        eprintln!("warning: Ctrl-C will end the program: {error}");
    }
}

//! `synthesize`: writes a changed copy of a trace. The data set's loader makes the changes, as it does for `profile`.

use super::{
    args::SynthesizeArgs,
    numbers::{count, counted, percent, short},
    source::Source,
};
use crate::{Ended, Failure, terminal::say};
use inferometer_abi::documents::TraceRequest;
use inferometer_model::ExitCode;
use inferometer_trace::{Lengths, Report, analyze, write_mooncake};
use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write as _},
};

/// Tokens of a block that readers of this format take when they are not told.
const USUAL_BLOCK: u32 = 512;

/// Runs `inferometer synthesize`.
pub(crate) fn run(args: &SynthesizeArgs) -> Ended {
    let (file, output) = (&args.source.file, args.output.display());
    let is_there = || Failure::usage(format!("--output {output} is there already; add --overwrite to write over it"));
    if !args.overwrite && args.output.exists() {
        return Err(is_there());
    }
    let source = Source::new(&args.source)?;
    let before = source.read(TraceRequest::default(), args.random_seed)?;
    let after = source.read(changes(args), args.random_seed)?;
    if after.branches > 0 {
        return Err(Failure::usage(format!(
            "{file}: sessions that begin others cannot be written as a trace; give a data set without branches"
        )));
    }
    if after.trace.requests() == 0 {
        return Err(Failure::usage(format!("{file}: no request is left; raise --synthesis-max-isl")));
    }
    let mut lines = Vec::new();
    let block_tokens = write_mooncake(&after.trace, args.synthesis_speedup_ratio, &mut lines)
        .map_err(|error| Failure::usage(format!("{file}: {error}")))?;
    let mut open = OpenOptions::new();
    if args.overwrite {
        open.write(true).create(true).truncate(true)
    } else {
        open.write(true).create_new(true)
    };
    open.open(&args.output).and_then(|mut out| out.write_all(&lines)).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => is_there(),
        _ => Failure::usage(format!("--output {output}: {error}")),
    })?;
    let (before, notes) = (analyze(&before.trace, None), after.notes);
    let after = analyze(&after.trace, None);
    say(summary(&output.to_string(), &before, &after, args.synthesis_speedup_ratio));
    if let Some(block) = block_tokens.filter(|block| *block != USUAL_BLOCK) {
        say(format_args!("Its blocks are of {block} tokens: read it with --isl-block-size {block}."));
    }
    for note in notes {
        say(format_args!("note: {note}"));
    }
    Ok(ExitCode::Ok)
}

fn changes(args: &SynthesizeArgs) -> TraceRequest {
    TraceRequest {
        block_tokens: args.source.isl_block_size,
        max_input_tokens: args.synthesis_max_isl,
        max_output_tokens: args.synthesis_max_osl,
        prefix_multiplier: args.synthesis_prefix_len_multiplier,
        root_multiplier: args.synthesis_prefix_root_multiplier,
        prompt_multiplier: args.synthesis_prompt_len_multiplier,
        output_multiplier: args.synthesis_output_len_multiplier,
    }
}

/// What was written, and what changed by it.
fn summary(output: &str, before: &Report, after: &Report, speedup: f64) -> String {
    let was = |now: String, unit: &str, then: &str| {
        if now == then { format!("{now}{unit}") } else { format!("{now}{unit} ({then} before)") }
    };
    let sessions = counted(after.sessions, "session");
    let unit = if after.requests == 1 { " request" } else { " requests" };
    let mut words = vec![was(count(after.requests), unit, &count(before.requests)), format!("in {sessions}")];
    let mut add = |now: Option<f64>, then: Option<f64>, unit: &str, show: fn(f64) -> String| {
        if let (Some(now), Some(then)) = (now, then) {
            words.push(was(show(now), unit, &show(then)));
        }
    };
    let mean = |lengths: &Option<Lengths>| lengths.as_ref().map(|lengths| lengths.spread.mean);
    let hits = |report: &Report| report.prefix.as_ref().map(|prefix| prefix.token_hit_rate);
    add(after.span_s.map(|span| span / speedup), before.span_s, " s", short);
    add(mean(&after.input_tokens), mean(&before.input_tokens), " input tokens each", short);
    add(mean(&after.output_tokens), mean(&before.output_tokens), " output tokens each", short);
    add(hits(after), hits(before), " of the input not new", percent);
    format!("Wrote {output}: {}.", words.join(", "))
}

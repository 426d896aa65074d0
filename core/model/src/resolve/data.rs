//! Where requests come from: the loader, what it is asked for, and what is put around its turns.

use super::{lengths, media};
use crate::{
    config::{DataConfig, MediaConfig, RankingConfig, RawConfig, Sampling, SyntheticConfig, TraceConfig},
    error::{ConfigError, refuse},
    file::text,
    plan::{DataPlan, PhasePlan},
    values::{Count, Number},
};
use inferometer_abi::documents::{DatasetRequest, PrefixRequest, TraceRequest};

/// Different sessions where nothing says how many are needed.
pub(super) const DEFAULT_POOL: u64 = 100;
/// Most different sessions that are made up unasked.
const LARGEST_DEFAULT_POOL: u64 = 1_000_000;
/// Most different sessions that are made up at all.
const LARGEST_POOL: u64 = 10_000_000;
const SYNTHETIC: &str = "synthetic";
const RANDOM_POOL: &str = "random_pool";
/// Most tokens of a message that is made up and put before a session's turns: it is sent again with each of them.
const LONGEST_MESSAGE: u64 = 1_000_000;
/// The loader that finds out what a file holds.
const AUTO: &str = "auto";
/// Loaders of files with texts of their own, which `--synthesis-…` cannot stretch.
const TEXTS: [&str; 9] = [
    "single_turn",
    "multi_turn",
    RANDOM_POOL,
    "sharegpt",
    "raw_payload",
    "inputs_json",
    "dag_jsonl",
    "openai_batch",
    "agentic_messages",
];
/// Loaders of traces.
const TRACES: [&str; 4] = ["mooncake_trace", "bailian_trace", "burst_gpt_trace", "azure_trace"];

/// Whether `loader` is one of ours that reads a file.
fn reads_file(loader: &str) -> bool {
    loader == AUTO || TEXTS.contains(&loader) || TRACES.contains(&loader)
}

/// The data that `config` asks for, enough of it for `phases`.
pub(super) fn data(config: &RawConfig, phases: &[PhasePlan], notes: &mut Vec<String>) -> Result<DataPlan, ConfigError> {
    let RawConfig { data, synthetic, media, trace, .. } = config;
    let loader = loader(data)?;
    if data.input_file.is_some() && config.ranking != RankingConfig::default() {
        return refuse("--rankings-… is for made-up queries and --input-file brings its own; leave one out");
    }
    if let Some(file) = &data.input_file {
        refuse_made_up(synthetic, media, &loader)?;
        if file.as_os_str().is_empty() {
            return refuse("--input-file is empty; give a file, or leave it out for made-up prompts");
        }
    }
    if loader == SYNTHETIC {
        refuse_of_files(data, trace)?;
    }
    if TEXTS.contains(&loader.as_str()) {
        refuse_of_traces(trace, &loader)?;
    }
    notes.extend(without_effect(data, &loader, phases));
    let mut request = DatasetRequest {
        entries: entries(config, phases, notes)?,
        input_tokens: lengths::input(synthetic)?,
        output_tokens: lengths::output(synthetic)?,
        length_pairs: lengths::pairs(synthetic)?,
        range_ratio: lengths::range_ratio(synthetic)?,
        turns: lengths::turns(synthetic)?,
        delay_ms: lengths::delay(synthetic)?,
        batch: media::batch("--prompt-batch-size", synthetic.prompt_batch_size)?,
        images: media::images(media, notes)?,
        audio: media::audio(media, notes)?,
        ranking: lengths::ranking(&config.ranking)?,
        trace: self::trace(trace)?,
        ..DatasetRequest::default()
    };
    request.prefixes = prefixes(synthetic, data, notes)?;
    let Number(delay_ratio) = data.session_delay_ratio.unwrap_or(Number(1.0));
    if !(delay_ratio.is_finite() && delay_ratio >= 0.0) {
        return refuse(format!("--session-delay-ratio {delay_ratio} is not a factor; give 0 or more"));
    }
    Ok(DataPlan {
        loader,
        source: data.input_file.clone(),
        request,
        sampling: data.dataset_sampling_strategy.unwrap_or_default(),
        system_prompt: system_prompt(data)?,
        shared_system_tokens: tokens(
            "--shared-system-prompt-length",
            data.shared_system_prompt_length,
            LONGEST_MESSAGE,
        )?,
        user_context_tokens: tokens("--user-context-prompt-length", data.user_context_prompt_length, LONGEST_MESSAGE)?,
        cache_bust: data.cache_bust.unwrap_or_default(),
        delay_ratio,
        ignores_times: trace.ignore_trace_delays.unwrap_or_default(),
        replies: data.replies,
    })
}

fn loader(data: &DataConfig) -> Result<String, ConfigError> {
    match (&data.input_file, data.custom_dataset_type.as_deref()) {
        (Some(_), Some(SYNTHETIC)) => {
            refuse("--custom-dataset-type synthetic makes prompts up and reads no file; leave it or --input-file out")
        }
        (Some(_), kind) => Ok(kind.unwrap_or("auto").to_owned()),
        (None, Some(kind)) if reads_file(kind) => {
            refuse(format!("--custom-dataset-type {kind} needs a file; add --input-file"))
        }
        (None, kind) => Ok(kind.unwrap_or(SYNTHETIC).to_owned()),
    }
}

/// Refuses what is for made-up prompts beside a file.
fn refuse_made_up(synthetic: &SyntheticConfig, media: &MediaConfig, loader: &str) -> Result<(), ConfigError> {
    let takes_batches = loader == RANDOM_POOL;
    let has_batch = media.image_batch_size.or(media.audio_batch_size).or(synthetic.prompt_batch_size).is_some();
    let deviates = |stddev: Option<Number>| stddev.is_some_and(|stddev| stddev.0 != 0.0);
    let typed = [
        ("--isl", synthetic.isl.is_some() || deviates(synthetic.isl_stddev)),
        ("--seq-dist", synthetic.seq_dist.is_some()),
        ("--random-range-ratio", synthetic.random_range_ratio.is_some()),
        ("--session-turns-mean", synthetic.session_turns_mean.is_some() || deviates(synthetic.session_turns_stddev)),
        (
            "--session-turn-delay-mean",
            synthetic.session_turn_delay_mean.is_some()
                || deviates(synthetic.session_turn_delay_stddev.map(|stddev| Number(stddev.0))),
        ),
        ("--num-prefix-prompts", synthetic.num_prefix_prompts.is_some()),
        ("--prefix-prompt-length", synthetic.prefix_prompt_length.is_some()),
        ("an image or audio setting", media::makes_content(media)),
        ("a batch size", has_batch && !takes_batches),
    ];
    match typed.iter().find(|(_, is_typed)| *is_typed) {
        Some((flag, _)) => {
            refuse(format!("{flag} is for made-up prompts and --input-file brings its own; leave one out"))
        }
        None => Ok(()),
    }
}

/// The settings that change what a trace asks for, and whether they were typed.
fn of_traces(trace: &TraceConfig) -> [(&'static str, bool); 7] {
    [
        ("--isl-block-size", trace.isl_block_size.is_some()),
        ("--synthesis-prefix-len-multiplier", trace.synthesis_prefix_len_multiplier.is_some()),
        ("--synthesis-prefix-root-multiplier", trace.synthesis_prefix_root_multiplier.is_some()),
        ("--synthesis-prompt-len-multiplier", trace.synthesis_prompt_len_multiplier.is_some()),
        ("--synthesis-output-len-multiplier", trace.synthesis_output_len_multiplier.is_some()),
        ("--synthesis-max-isl", trace.synthesis_max_isl.is_some()),
        ("--synthesis-max-osl", trace.synthesis_max_osl.is_some()),
    ]
}

/// Refuses what changes traces where the data is none.
fn refuse_of_traces(trace: &TraceConfig, loader: &str) -> Result<(), ConfigError> {
    match of_traces(trace).iter().find(|(_, is_typed)| *is_typed) {
        Some((flag, _)) => refuse(format!("{flag} is for traces, and {loader} is none; leave it out")),
        None => Ok(()),
    }
}

/// What is to be said of settings that do nothing with this data.
fn without_effect(data: &DataConfig, loader: &str, phases: &[PhasePlan]) -> Vec<String> {
    let mut notes = Vec::new();
    if data.num_dataset_entries.is_some() && data.input_file.is_some() && reads_file(loader) {
        // What `auto` finds may be a pool.
        match loader {
            RANDOM_POOL => {}
            "auto" => {
                notes.push("--num-dataset-entries has no effect on a file, unless it is a random_pool".to_owned());
            }
            _ => notes.push(format!("--num-dataset-entries has no effect: {loader} has the sessions of its file")),
        }
    }
    let follows_times = |phase: &PhasePlan| phase.strategy == "fixed_schedule";
    if data.dataset_sampling_strategy.is_some_and(|how| how != Sampling::Sequential) && phases.iter().any(follows_times)
    {
        notes.push(
            "--dataset-sampling-strategy has no effect on a fixed schedule, which has an order of its own".to_owned(),
        );
    }
    notes
}

/// Refuses what is for data that is read where all is made up.
fn refuse_of_files(data: &DataConfig, trace: &TraceConfig) -> Result<(), ConfigError> {
    let others = [
        ("--ignore-trace-delays", trace.ignore_trace_delays == Some(true)),
        ("--replies recorded", data.replies == Some(crate::config::Replies::Recorded)),
    ];
    match of_traces(trace).iter().chain(&others).find(|(_, is_typed)| *is_typed) {
        Some((flag, _)) => refuse(format!("{flag} is for data that was recorded; add --input-file, or leave it out")),
        None => Ok(()),
    }
}

/// Size of the pool: as typed, else enough for all phases, so that the measured sessions are new to the server's cache.
fn entries(config: &RawConfig, phases: &[PhasePlan], notes: &mut Vec<String>) -> Result<u64, ConfigError> {
    let is_made_up = config.data.input_file.is_none();
    if let Some(Count(entries)) = config.data.num_dataset_entries {
        if entries == 0 {
            return refuse("--num-dataset-entries 0 asks for nothing; give at least 1, or leave it out");
        }
        if entries > LARGEST_POOL && is_made_up {
            return refuse(format!(
                "--num-dataset-entries must be at most {LARGEST_POOL}, not {entries}: something of each is kept in \
                 memory; the pool is used over and over"
            ));
        }
        return Ok(entries);
    }
    let of_phase = |phase: &PhasePlan| phase.stop.sessions.or(phase.stop.requests);
    let enough = phases.iter().filter_map(of_phase).fold(0_u64, u64::saturating_add);
    if enough > LARGEST_DEFAULT_POOL && is_made_up {
        notes.push(format!(
            "{LARGEST_DEFAULT_POOL} different sessions are used over and over; --num-dataset-entries makes up more"
        ));
        return Ok(LARGEST_DEFAULT_POOL);
    }
    Ok(if enough == 0 { DEFAULT_POOL } else { enough })
}

/// The system message that was typed.
fn system_prompt(data: &DataConfig) -> Result<Option<String>, ConfigError> {
    let typed = [
        ("--system-prompt", data.system_prompt.is_some()),
        ("--system-prompt-file", data.system_prompt_file.is_some()),
        ("--shared-system-prompt-length", data.shared_system_prompt_length.is_some()),
        ("--user-context-prompt-length", data.user_context_prompt_length.is_some()),
    ];
    let mut typed = typed.iter().enumerate().filter(|(_, (_, is_typed))| *is_typed);
    // Those made up go together; those given go with nothing.
    if let (Some((0 | 1, (one, _))), Some((_, (other, _)))) = (typed.next(), typed.next()) {
        return refuse(format!("{one} and {other} exclude each other; leave one out"));
    }
    let (prompt, from) = match (&data.system_prompt, &data.system_prompt_file) {
        (Some(prompt), _) => (prompt.clone(), "--system-prompt".to_owned()),
        (None, Some(file)) => {
            let from = format!("--system-prompt-file {}", file.display());
            let text = text::read(file);
            (text.map_err(|why| ConfigError::new(format!("{from}: {why}; give a file of text")))?, from)
        }
        (None, None) => return Ok(None),
    };
    if prompt.trim().is_empty() {
        return refuse(format!("{from} is empty; give the system message, or leave it out"));
    }
    Ok(Some(prompt))
}

fn tokens(flag: &str, count: Option<Count>, most: u64) -> Result<Option<u64>, ConfigError> {
    match count {
        Some(Count(tokens)) if !(1..=most).contains(&tokens) => {
            refuse(format!("{flag} {tokens} is not a number of tokens; give 1 to {most}"))
        }
        count => Ok(count.map(|count| count.0)),
    }
}

fn prefixes(
    synthetic: &SyntheticConfig,
    data: &DataConfig,
    notes: &mut Vec<String>,
) -> Result<Option<PrefixRequest>, ConfigError> {
    let Some(tokens) = tokens("--prefix-prompt-length", synthetic.prefix_prompt_length, lengths::MOST_TOKENS as u64)?
    else {
        return match synthetic.num_prefix_prompts {
            Some(_) => refuse("--num-prefix-prompts needs their length; add --prefix-prompt-length"),
            None => Ok(None),
        };
    };
    for (flag, is_typed) in [
        ("--shared-system-prompt-length", data.shared_system_prompt_length.is_some()),
        ("--user-context-prompt-length", data.user_context_prompt_length.is_some()),
    ] {
        if is_typed {
            return refuse(format!("--prefix-prompt-length and {flag} exclude each other; leave one out"));
        }
    }
    let prompts = match synthetic.num_prefix_prompts {
        Some(Count(0)) => {
            return refuse(
                "--num-prefix-prompts 0 makes no prefixes; give at least 1, or leave --prefix-prompt-length out",
            );
        }
        Some(Count(prompts)) => prompts,
        None => {
            notes.push("no --num-prefix-prompts given: one prefix for all sessions".to_owned());
            1
        }
    };
    Ok(Some(PrefixRequest { prompts, tokens }))
}

fn trace(trace: &TraceConfig) -> Result<TraceRequest, ConfigError> {
    let factor = |flag: &str, factor: Option<Number>| match factor.unwrap_or(Number(1.0)) {
        Number(factor) if factor.is_finite() && factor > 0.0 => Ok(factor),
        Number(factor) => refuse(format!("{flag} {factor} is not a factor; give a number above 0")),
    };
    let Count(root_multiplier) = trace.synthesis_prefix_root_multiplier.unwrap_or(Count(1));
    if root_multiplier == 0 {
        return refuse("--synthesis-prefix-root-multiplier 0 leaves no trees; give at least 1");
    }
    Ok(TraceRequest {
        block_tokens: tokens("--isl-block-size", trace.isl_block_size, lengths::MOST_TOKENS as u64)?,
        max_input_tokens: tokens("--synthesis-max-isl", trace.synthesis_max_isl, u32::MAX.into())?,
        max_output_tokens: tokens("--synthesis-max-osl", trace.synthesis_max_osl, u32::MAX.into())?,
        prefix_multiplier: factor("--synthesis-prefix-len-multiplier", trace.synthesis_prefix_len_multiplier)?,
        root_multiplier,
        prompt_multiplier: factor("--synthesis-prompt-len-multiplier", trace.synthesis_prompt_len_multiplier)?,
        output_multiplier: factor("--synthesis-output-len-multiplier", trace.synthesis_output_len_multiplier)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{CacheBust, Replies},
        testing::{file, plan, refused},
    };

    fn planned(flags: &str) -> DataPlan {
        plan(flags).unwrap().data
    }

    #[test]
    fn a_file_finds_its_loader_and_without_one_prompts_are_made_up() {
        for (flags, expected) in [
            ("", SYNTHETIC),
            ("--input-file x", "auto"),
            ("--dataset-path x --custom-dataset-type mooncake_trace", "mooncake_trace"),
            ("--custom-dataset-type acme", "acme"),
        ] {
            assert_eq!(planned(flags).loader, expected, "{flags}");
        }
    }

    #[test]
    fn the_pool_is_as_large_as_typed_or_as_the_phases_need() {
        for (flags, entries) in [
            ("--num-dataset-entries 7 --num-conversations 50 --request-count 20", 7),
            ("--num-prompts 7", 7),
            ("--num-conversations 50 --request-count 20", 50),
            ("--request-count 20", 20),
            ("--request-count 20 --warmup-request-count 5", 25),
            ("--num-conversations 20 --num-warmup-sessions 5", 25),
            ("--benchmark-duration 20", 100),
            ("--concurrency 8", 16),
        ] {
            assert_eq!(planned(flags).request.entries, entries, "{flags}");
        }
    }

    #[test]
    fn a_huge_count_does_not_make_as_many_sessions() {
        let plan = plan("--request-count 2000000000M").unwrap();
        assert_eq!(plan.data.request.entries, LARGEST_DEFAULT_POOL);
        assert!(plan.notes[0].contains("over and over"));
    }

    #[test]
    fn what_is_put_around_the_turns_is_as_typed() {
        let plain = planned("");
        assert_eq!((plain.delay_ratio, plain.ignores_times, plain.replies), (1.0, false, None));
        assert_eq!((plain.system_prompt, plain.cache_bust), (None, CacheBust::None));

        assert_eq!(planned("--system-prompt 'be brief'").system_prompt.unwrap(), "be brief");
        let prompt = file("prompt.txt", "be\nbrief\n");
        let from_file = planned(&format!("--system-prompt-file {}", prompt.path().display()));
        assert_eq!(from_file.system_prompt.unwrap(), "be\nbrief\n");
        let made_up = planned("--shared-system-prompt-length 30 --user-context-prompt-length 2k");
        assert_eq!((made_up.shared_system_tokens, made_up.user_context_tokens), (Some(30), Some(2_000)));
        for spelt in ["first-turn-end", "first_turn_end"] {
            assert_eq!(planned(&format!("--cache-bust {spelt}")).cache_bust, CacheBust::FirstTurnEnd);
        }
        for flag in ["--session-delay-ratio", "--conversation-turn-delay-ratio"] {
            assert_eq!(planned(&format!("{flag} 0.5")).delay_ratio, 0.5);
        }
        assert_eq!(planned("--input-file x --replies recorded").replies, Some(Replies::Recorded));
        assert_eq!(planned("--replies live").replies, Some(Replies::Live));
        assert!(planned("--input-file x --ignore-trace-delays").ignores_times);
        assert_eq!(planned("--dataset-sampling-strategy shuffle").sampling, Sampling::Shuffle);
    }

    #[test]
    fn prompts_may_have_prefixes_and_come_in_batches() {
        let prefixes = |flags: &str| planned(flags).request.prefixes;
        let four = Some(PrefixRequest { prompts: 4, tokens: 30 });
        assert_eq!(prefixes("--num-prefix-prompts 4 --prefix-prompt-length 30"), four);
        assert_eq!(prefixes("--prompt-prefix-pool-size 4 --prompt-prefix-length 30"), four);
        assert_eq!(prefixes("--random-prefix-len 30"), Some(PrefixRequest { prompts: 1, tokens: 30 }));
        assert_eq!(prefixes(""), None);
        for flag in ["-b", "--prompt-batch-size", "--batch-size-text", "--batch-size"] {
            assert_eq!(planned(&format!("{flag} 4")).request.batch, 4);
        }
        assert_eq!(planned("").request.batch, 1);
    }

    #[test]
    fn traces_are_changed_as_typed() {
        let trace = planned(
            "--input-file x --isl-block-size 16 --synthesis-prefix-len-multiplier 2 --synthesis-prefix-root-multiplier 3 \
             --synthesis-prompt-len-multiplier 0.5 --synthesis-output-len-multiplier 4 --synthesis-max-isl 5k \
             --synthesis-max-osl 600",
        )
        .request
        .trace;
        let expected = TraceRequest {
            block_tokens: Some(16),
            max_input_tokens: Some(5_000),
            max_output_tokens: Some(600),
            prefix_multiplier: 2.0,
            root_multiplier: 3,
            prompt_multiplier: 0.5,
            output_multiplier: 4.0,
        };
        assert_eq!(trace, expected);
        assert_eq!(planned("--input-file x").request.trace, TraceRequest::default());
    }

    #[test]
    fn settings_without_effect_are_noted_or_refused() {
        let notes = |flags: &str| plan(&format!("--request-count 1 --input-file x {flags}")).unwrap().notes.join("\n");
        let single = "--custom-dataset-type single_turn";
        assert!(notes(&format!("{single} --num-dataset-entries 5")).contains("--num-dataset-entries has no effect"));
        assert!(notes("--num-dataset-entries 5").contains("random_pool"));
        assert_eq!(notes("--custom-dataset-type random_pool --num-dataset-entries 5"), "");
        assert!(
            notes("--fixed-schedule --dataset-sampling-strategy shuffle").contains("no effect on a fixed schedule")
        );
        assert_eq!(notes("--dataset-sampling-strategy shuffle"), "");
        refused(&[
            (
                &format!("--input-file x {single} --synthesis-max-isl 4"),
                &["--synthesis-max-isl", "single_turn is none"],
            ),
            (&format!("--input-file x {single} --isl-block-size 4"), &["--isl-block-size", "single_turn is none"]),
        ]);
    }

    #[test]
    fn a_deviation_of_zero_is_harmless() {
        for flags in ["--isl-stddev 0", "--session-turns-stddev 0", "--session-turn-delay-stddev 0", "--osl-stddev 0"] {
            assert_eq!(planned(flags).request, planned("").request, "{flags}");
            assert!(plan(&format!("--input-file x {flags}")).is_ok(), "{flags}");
        }
        assert_eq!(planned("--image-width-stddev 0 --image-height-stddev 0").request.images, None);
        assert_eq!(planned("--audio-length-stddev 0").request.audio, None);
    }

    #[test]
    fn a_pool_of_files_takes_batches_and_no_other_file_does() {
        let request = planned("--input-file x --custom-dataset-type random_pool --image-batch-size 3 -b 2").request;
        assert_eq!((request.images.unwrap().batch, request.batch), (3, 2));
        refused(&[("--input-file x -b 2", &["a batch size", "--input-file"])]);
    }

    #[test]
    fn data_that_contradicts_itself_is_refused_with_the_way_out() {
        for flags in [
            "--isl 5",
            "--isl-stddev 5",
            "--seq-dist 5,5:100",
            "--random-range-ratio 0.5",
            "--session-turns-mean 5",
            "--session-turn-delay-mean 5",
            "--num-prefix-prompts 5",
            "--prefix-prompt-length 5",
            "--image-width-mean 5",
            "--audio-format mp3",
        ] {
            refused(&[(&format!("--input-file x {flags}"), &["--input-file brings its own", "leave one out"])]);
        }
        for flags in [
            "--ignore-trace-delays",
            "--isl-block-size 4",
            "--synthesis-prefix-len-multiplier 4",
            "--synthesis-prefix-root-multiplier 4",
            "--synthesis-prompt-len-multiplier 4",
            "--synthesis-output-len-multiplier 4",
            "--synthesis-max-isl 4",
            "--synthesis-max-osl 4",
            "--replies recorded",
        ] {
            refused(&[(flags, &[flags.split(' ').next().unwrap(), "add --input-file"])]);
        }
        refused(&[
            ("--custom-dataset-type multi_turn", &["multi_turn needs a file", "add --input-file"]),
            ("--input-file x --custom-dataset-type synthetic", &["synthetic", "--input-file"]),
            ("--num-dataset-entries 0", &["--num-dataset-entries 0"]),
            ("--num-dataset-entries 10000001", &["--num-dataset-entries", "10000000"]),
            ("--session-delay-ratio=-1", &["--session-delay-ratio -1"]),
            ("--system-prompt ''", &["--system-prompt is empty"]),
            ("--system-prompt-file /no/such", &["--system-prompt-file /no/such"]),
            ("--system-prompt a --system-prompt-file b", &["--system-prompt-file", "leave one out"]),
            ("--system-prompt a --shared-system-prompt-length 4", &["--shared-system-prompt-length"]),
            ("--system-prompt-file a --user-context-prompt-length 4", &["--user-context-prompt-length"]),
            ("--shared-system-prompt-length 0", &["--shared-system-prompt-length 0"]),
            ("--shared-system-prompt-length 4294967295", &["--shared-system-prompt-length 4294967295", "1 to 1000000"]),
            ("--user-context-prompt-length 1000001", &["--user-context-prompt-length 1000001", "1 to 1000000"]),
            ("--num-prefix-prompts 4", &["add --prefix-prompt-length"]),
            ("--num-prefix-prompts 0 --prefix-prompt-length 4", &["--num-prefix-prompts 0"]),
            ("--prefix-prompt-length 4 --shared-system-prompt-length 4", &["exclude each other"]),
            ("--prefix-prompt-length 4 --user-context-prompt-length 4", &["exclude each other"]),
            ("--prompt-batch-size 0", &["--prompt-batch-size 0"]),
            ("--rankings-passages-mean 0", &["--rankings-passages-mean 0"]),
            ("--input-file x --rankings-query-prompt-token-mean 9", &["--rankings-", "leave one out"]),
            ("--input-file x --isl-block-size 0", &["--isl-block-size 0"]),
            ("--input-file x --synthesis-prompt-len-multiplier 0", &["--synthesis-prompt-len-multiplier 0"]),
            ("--input-file x --synthesis-prefix-root-multiplier 0", &["--synthesis-prefix-root-multiplier 0"]),
        ]);
    }
}

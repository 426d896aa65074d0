//! [`Prepared`]: a plan made ready, and the run itself.

use crate::{
    Control, EngineError, Exporters, Finished, artifacts,
    data::{Makers, OnDemand, Pool},
    descriptors,
    dialogue::{self, Ids, Line},
    endpoint::{Spoken, options_for},
    job::{FIXED_SCHEDULE, Job},
    precision::ClientFacts,
    ready,
    records::Records,
    report::{self, Kept},
    server::Server,
    share::{phase_spec, workers},
    spill::{Spill, Stored, Writer},
    store::Store,
    tally,
    telemetry::Telemetry,
    text::Text,
    worker::{self, Assignment, Gate},
};
use inferometer_abi::{
    api::{Exporter, TelemetryCollector, TimingStrategy},
    documents::{Component, DatasetInfo, DatasetRequest, EndpointInfo, Kind, RankingRequest, Terminal},
};
use inferometer_host::Registry;
use inferometer_metrics::{Options, Slos, TokenSource};
use inferometer_model::{
    Clock, ConfigError,
    plan::{PhasePlan, Plan, SourcePlan},
};
use inferometer_tokens::{Tokenizer, TokenizerRequest, seed_for};
use serde_json::{Map, Value};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering::SeqCst},
};
use tokio::task::LocalSet;

/// Exporters that write every run's files and show its result. Those that the user asks for come after them, so that one
/// that hangs keeps nobody waiting and one that wants another's file does not get it.
const EXPORTERS: [&str; 8] =
    ["json", "csv", "records", "inputs", "gpu_telemetry", "client_telemetry", "server_metrics", "console"];

/// What the user typed and where it is shown, for the record.
#[derive(Clone, Debug, Default)]
pub struct Invocation {
    /// The command, secrets removed.
    pub command: String,
    /// The terminal.
    pub terminal: Terminal,
}

/// A run that is ready to begin: all components made, all requests encoded, all names looked up, nothing sent.
pub struct Prepared {
    plan: Plan,
    invocation: Invocation,
    benchmark_id: String,
    pub(crate) job: Arc<Job>,
    /// Started strategies, by worker and phase.
    pub(crate) strategies: Vec<Vec<Box<dyn TimingStrategy>>>,
    collectors: Vec<(SourcePlan, Box<dyn TelemetryCollector>)>,
    exporters: Vec<(String, Box<dyn Exporter>)>,
    components: Vec<Component>,
    tokenizer: Tokenizer,
    options: Options,
    notes: Vec<String>,
}

impl Prepared {
    /// Makes everything ready.
    ///
    /// # Errors
    /// Whatever the user has to mend before a request can be sent.
    pub fn new(plan: Plan, registry: &Registry, invocation: Invocation, control: Control) -> Result<Self, EngineError> {
        Self::make(plan, registry, invocation, control, true)
    }

    /// Makes everything ready for looking at, and never to be sent: no name is looked up.
    ///
    /// # Errors
    /// As [`Prepared::new`], but for what the network has to say.
    pub fn unsent(plan: Plan, registry: &Registry) -> Result<Self, EngineError> {
        Self::make(plan, registry, Invocation::default(), Control::default(), false)
    }

    fn make(
        mut plan: Plan,
        registry: &Registry,
        invocation: Invocation,
        control: Control,
        looks_up: bool,
    ) -> Result<Self, EngineError> {
        let mut notes = plan.notes.clone();
        let mut components = Vec::new();
        for name in plan.plugin_options.keys() {
            registry.called(name).map_err(|error| config_error(format!("options for '{name}': {error}")))?;
        }
        let given = plan.plugin_options.clone();
        let options_of =
            |kind, name: &str| registry.find(kind, name).map(|entry| options_for(entry, &given, Map::new()));
        let Spoken { endpoint, info, used } = Spoken::new(&mut plan, registry)?;
        components.push(used);
        if plan.server.streaming && !info.streams {
            (plan.server.streaming, plan.server.chunk_usage) = (false, false);
            let endpoint = &plan.server.endpoint;
            notes.push(format!("the endpoint '{endpoint}' cannot stream; --streaming is passed over"));
        }
        let server = Server::new(&plan.server, &info, looks_up)?;
        let resolved = inferometer_tokens::resolve(&TokenizerRequest {
            name: plan.tokenizer.name.clone(),
            model: plan.models.first().cloned().unwrap_or_default(),
            revision: plan.tokenizer.revision.clone(),
        })?;
        notes.extend(resolved.note);
        if plan.tokenizer.chat_template {
            let template = resolved.tokenizer.chat_template();
            template.map_err(|error| config_error(format!("--apply-chat-template: {error}")))?;
        }
        let text = Text::new(resolved.tokenizer.clone());
        let made = registry.dataset(&plan.data.loader, &options_of(Kind::Dataset, &plan.data.loader)?)?;
        let mut loader = made.component;
        components.push(made.used);
        let ranks = info.ranks && plan.data.source.is_none();
        let request = DatasetRequest {
            ranking: plan.data.request.ranking.or(ranks.then(RankingRequest::default)),
            source: plan.data.source.as_ref().map(|file| file.display().to_string()),
            seed: plan.seed,
            ..plan.data.request.clone()
        };
        let dataset = loader.open(&request, &text).map_err(EngineError::component(match &plan.data.source {
            Some(_) => "--input-file",
            None => &plan.data.loader,
        }))?;
        notes.extend(dataset.kind.as_ref().map(|kind| format!("the data set was taken for {kind}")));
        notes.extend(dataset.notes.iter().cloned());
        follow_times(&mut plan, &dataset, &mut notes)?;
        let slos = plan.objectives.as_deref().map(Slos::parse).transpose().map_err(goodput_error)?;
        let options = metric_options(&plan, &info, slos)?;
        let pool = Arc::new(Pool::new(&plan, dataset, loader, Arc::clone(&endpoint), text)?);
        let mut exporters = Vec::new();
        for name in EXPORTERS.into_iter().chain(plan.exporters.iter().map(String::as_str)) {
            let made = registry.exporter(name, &options_of(Kind::Exporter, name)?)?;
            components.push(made.used);
            exporters.push((name.to_owned(), made.component));
        }
        let mut collectors = Vec::new();
        for source in &plan.telemetry.sources {
            let entry = registry.find(Kind::Collector, &source.collector)?;
            let mut own = source.options.clone();
            if !source.headers.is_empty() {
                let headers = source.headers.iter().map(|(name, value)| (name.clone(), value.reveal().into()));
                own.insert("headers".to_owned(), Value::Object(headers.collect()));
            }
            let options = options_for(entry, &plan.plugin_options, own);
            let made = registry.collector(&source.collector, &options)?;
            if !components.contains(&made.used) {
                components.push(made.used);
            }
            collectors.push((source.clone(), made.component));
        }
        let job = Job::new(&plan, Clock::start(), control, endpoint, server, pool)?;
        let workers = workers(&plan);
        let mut strategies = Vec::new();
        for shard in 0..workers {
            let mut own = Vec::new();
            for (index, phase) in job.phases.iter().map(|phase| &phase.plan).enumerate() {
                let entry = registry.find(Kind::Timing, &phase.strategy)?;
                let options = options_for(entry, &plan.plugin_options, phase.strategy_options.clone());
                let made = registry.timing(&phase.strategy, &options)?;
                if shard == 0 && !components.contains(&made.used) {
                    components.push(made.used);
                }
                let mut strategy = made.component;
                let spec = phase_spec(phase, seed_for(plan.seed, "timing", index as u64), shard, workers);
                let timetable = OnDemand::new(&job.pool, phase.replay);
                let started = strategy.start(&spec, &timetable);
                // What is wrong with the times is the cause of what the strategy says of them.
                timetable.finish()?;
                started.map_err(EngineError::component(&phase.strategy))?;
                own.push(strategy);
            }
            strategies.push(own);
        }
        notes.extend(job.pool.prepare(job.phases[0].order())?);
        descriptors::provide(job.phases.iter().map(|phase| &phase.plan), workers.into(), collectors.len() as u64)?;
        Ok(Self {
            benchmark_id: benchmark_id(job.clock),
            tokenizer: resolved.tokenizer,
            plan,
            invocation,
            job: Arc::new(job),
            strategies,
            collectors,
            exporters,
            components,
            options,
            notes,
        })
    }

    /// The phases, with the counts that depend on the data filled in.
    pub fn phases(&self) -> Vec<PhasePlan> {
        self.job.phases.iter().map(|phase| phase.plan.clone()).collect()
    }

    /// What is worth saying before the load.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Waits until the servers are ready, where the plan asks for it, or until the run is stopped: the load then ends before
    /// it begins, and the report says why. `say` is told once what is waited for.
    ///
    /// # Errors
    /// When one is not in time, or refuses for a reason that waiting does not mend.
    pub fn wait_until_ready(&self, registry: &Registry, say: &mut dyn FnMut(&str)) -> Result<(), EngineError> {
        let Some(ready) = self.plan.server.ready else { return Ok(()) };
        let (job, runtime, local) = (&self.job, dialogue::runtime()?, LocalSet::new());
        let client = job.server.client(job.clock);
        let line = Line {
            way: job.way(&client),
            plan: &self.plan.server,
            ids: &Ids::new(seed_for(self.plan.seed, "readiness", 0)),
        };
        let mut stop = job.control.stopped();
        local.block_on(&runtime, async {
            tokio::select! {
                ready = ready::wait(&self.plan, ready, &line, registry, say) => ready,
                _ = stop.wait_for(|stopped| *stopped) => Ok(()),
            }
        })
    }

    /// Makes the folder for the results.
    ///
    /// # Errors
    /// When it cannot be made or already holds a run.
    pub fn folder(&self) -> Result<PathBuf, EngineError> {
        artifacts::folder(&self.plan, &self.benchmark_id)
    }

    /// Sends the load and waits for its end.
    ///
    /// # Errors
    /// When the server is not ready in time, or the system refuses a thread or a socket.
    pub fn run(self, folder: &Path) -> Result<(Arc<Finished>, Exporters), EngineError> {
        let telemetry = Telemetry::start(self.collectors, self.job.clock, self.plan.telemetry.interval_ns)
            .map_err(|source| EngineError::System { what: "starting a thread for telemetry", source })?;
        let telemetry = Arc::new(telemetry);
        telemetry.wait_until_ready();
        let workers = self.strategies.len();
        let counts = self.options.token_source != TokenSource::ServerOnly;
        let (writer, links) = Writer::start(Spill::within(folder), workers)
            .map_err(|source| EngineError::System { what: "starting a thread for finished requests", source })?;
        let gate = Arc::new(Gate::new(workers));
        let makers = Makers::start(&self.job.pool)
            .map_err(|source| EngineError::System { what: "starting a thread for the data set", source })?;
        let mut threads = Vec::new();
        for ((shard, strategies), link) in self.strategies.into_iter().enumerate().zip(links) {
            let assignment = Assignment {
                job: Arc::clone(&self.job),
                shard: shard as u16,
                strategies,
                store: Store::new(shard, workers, link, counts),
                gate: Arc::clone(&gate),
                telemetry: Arc::clone(&telemetry),
            };
            let run = move || worker::run(assignment);
            let spawned = std::thread::Builder::new().name(format!("worker-{shard}")).spawn(run);
            threads.push(spawned.map_err(|source| EngineError::System { what: "starting a worker thread", source })?);
        }
        let mut found = Vec::new();
        for thread in threads {
            let result = thread.join().unwrap_or_else(|_| Err(std::io::Error::other("a worker thread panicked")));
            found.push(result.map_err(|source| EngineError::System { what: "running a worker", source })?);
        }
        drop(makers);
        self.job.control.counters.phase.store(u32::MAX, SeqCst);
        // An interrupt from here on finds the load complete.
        let was_stopped = self.job.control.is_stopped();
        let mut notes = self.notes;
        notes.extend(loopback_note(found.iter().map(|found| found.loopback_addresses).max().unwrap_or(0)));
        let client = ClientFacts::of(&found);
        let strategy_error = found.iter_mut().find_map(|found| found.strategy_error.take());
        let mut stores: Vec<Store> = found.into_iter().map(|found| found.store).collect();
        let mut segments: Vec<Stored> = stores.iter_mut().flat_map(Store::take_segments).collect();
        // The last readings wait for the server to have counted; tokens are counted meanwhile.
        let (collected, records) = std::thread::scope(|scope| {
            let collecting = scope.spawn(|| telemetry.finish());
            let kept = writer.finish().map(|(spill, written)| {
                segments.extend(written);
                let mut records = Records::new(spill, segments);
                if counts {
                    let by_template = self.plan.tokenizer.chat_template;
                    notes.extend(tally::tally(&mut records, &self.job.pool, &self.tokenizer, by_template));
                }
                records
            });
            (collecting.join(), kept)
        });
        let records = records.map_err(|source| EngineError::System { what: "keeping finished requests", source })?;
        let collected = collected.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        notes.extend(collected.notes);
        for line in inferometer_host::drain_log() {
            notes.push(format!("{}: {}", line.target, line.message));
        }
        let facts = report::Facts {
            plan: &self.plan,
            invocation: &self.invocation,
            benchmark_id: &self.benchmark_id,
            components: self.components,
            folder,
            options: &self.options,
            notes,
            client,
            strategy_error,
            kept: Kept::of(&stores),
            was_stopped,
            logs: &collected.logs,
        };
        let (report, reach) = report::report(&self.job, &records, facts);
        let finished = Finished {
            logs: collected.logs,
            report,
            records,
            reach,
            job: self.job,
            options: self.options,
            error_limit: self.plan.error_limit,
            accepts_invalid: self.plan.accepts_invalid,
        };
        Ok((Arc::new(finished), Exporters::new(self.exporters, EXPORTERS.len(), folder, self.plan.output)))
    }
}

fn config_error(error: impl std::fmt::Display) -> EngineError {
    EngineError::Config(ConfigError::new(error.to_string()))
}

fn goodput_error(error: impl std::fmt::Display) -> EngineError {
    config_error(format!("--goodput: {error}"))
}

/// Lets data that has times of its own give the load its shape, where the user said nothing of that.
fn follow_times(plan: &mut Plan, dataset: &DatasetInfo, notes: &mut Vec<String>) -> Result<(), EngineError> {
    for phase in &mut plan.phases {
        if phase.is_open_to_times && dataset.has_timestamps {
            phase.strategy = FIXED_SCHEDULE.to_owned();
            (phase.concurrency, phase.is_open_to_times) = (None, false);
            notes.push(
                "the requests are sent at the times the data set gives them; --no-fixed-schedule sends them by a closed loop"
                    .to_owned(),
            );
        } else if phase.strategy == FIXED_SCHEDULE && !dataset.has_timestamps {
            return Err(config_error(
                "--fixed-schedule: the data set does not say when its sessions are to be sent; give one with timestamps, \
                 or leave the flag out",
            ));
        }
    }
    Ok(())
}

/// Which metrics this run has.
fn metric_options(plan: &Plan, info: &EndpointInfo, slos: Option<Slos>) -> Result<Options, EngineError> {
    let options = Options {
        streaming: plan.server.streaming,
        produces_tokens: info.produces_tokens,
        tokenizes_input: info.tokenizes_input,
        token_source: if plan.tokenizer.server_only { TokenSource::ServerOnly } else { TokenSource::ServerFirst },
        open_loop: plan.phases.iter().any(PhasePlan::is_open_loop),
        slos,
    };
    if let Some(slos) = &options.slos {
        slos.check(&options).map_err(goodput_error)?;
    }
    Ok(options)
}

/// Whether the ports of one address did not do.
fn loopback_note(addresses: usize) -> Option<String> {
    (addresses > 1).then(|| {
        format!(
            "connections came from {addresses} addresses, 127.0.0.1 to 127.0.0.{addresses}, since the ports of fewer had \
             run out"
        )
    })
}

/// Twelve hexadecimal digits that differ from run to run.
fn benchmark_id(clock: Clock) -> String {
    let drawn = seed_for(clock.epoch_ns(), "benchmark-id", u64::from(std::process::id()));
    format!("{:012x}", drawn >> 16)
}

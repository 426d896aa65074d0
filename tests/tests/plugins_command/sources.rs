//! The code of libraries that are not fit, as text: for crates that the tests build.

/// Components that end the process, hang, panic or break a law; which of them, the manifest's name says.
pub(super) const UNRULY: &str = r#"
#![allow(unreachable_code)]
use inferometer_plugin_sdk::{
    Component, NoOptions,
    api::{Timetable, TimingStrategy},
    schemars::JsonSchema,
    serde::Deserialize,
    types::{ANY_SESSION, Load, PhaseSpec, Result, Step},
};

macro_rules! strategy {
    ($type:ident, $name:literal, $options:ty, $create:expr, $next:expr) => {
        struct $type;
        impl Component for $type {
            type Options = $options;
            fn create(_: $options) -> Result<Self> {
                $create;
                Ok(Self)
            }
        }
        impl TimingStrategy for $type {
            fn start(&mut self, _: &PhaseSpec, _: &dyn Timetable) -> Result<()> {
                Ok(())
            }
            fn next(&mut self, _now_ns: u64, _: &Load) -> Result<Step> {
                $next
            }
        }
        inferometer_plugin_sdk::timing! { name: $name, summary: "Unruly.", component: $type }
    };
}

#[derive(Deserialize, JsonSchema)]
#[serde(crate = "inferometer_plugin_sdk::serde")]
#[schemars(crate = "inferometer_plugin_sdk::schemars")]
struct Needs {
    #[allow(dead_code)]
    token: String,
}

strategy!(Aborts, "aborts", NoOptions, { eprintln!("a cry for help"); std::process::abort() }, Ok(Step::END));
strategy!(Exits, "exits", NoOptions, std::process::exit(0), Ok(Step::END));
strategy!(Hangs, "hangs", NoOptions, loop { std::thread::park() }, Ok(Step::END));
strategy!(Panics, "panics", NoOptions, (), panic!("no more"));
strategy!(Quits, "quits", NoOptions, println!("printed on the way"), Ok(Step::END));
strategy!(Asks, "asks", Needs, (), Ok(Step::send(0, ANY_SESSION)));
inferometer_plugin_sdk::export_plugin!();
"#;

/// A library that ends the process which loads it, and leaves another behind that holds on to its output.
pub(super) const LEAVER: &str = r#"
extern "C" fn leave() {
    // Its own tests would leave it for good.
    if std::env::args().any(|word| word == "probe") {
        let left = std::process::Command::new("sleep").arg("600").spawn().expect("it is everywhere");
        eprintln!("left {} behind", left.id());
    }
    std::process::exit(0)
}

#[used]
#[unsafe(link_section = ".init_array")]
static LEAVE: extern "C" fn() = leave;
"#;

/// A library that changes the process which loads it.
pub(super) const MEDDLER: &str = r#"
unsafe extern "C" {
    fn signal(number: i32, handler: usize) -> usize;
}

extern "C" fn meddle() {
    std::env::set_current_dir("/").expect("it is there");
    println!("hello from the meddler");
    // SAFETY: 15 is SIGTERM, and 1 is SIG_IGN.
    unsafe { signal(15, 1) };
}

#[used]
#[unsafe(link_section = ".init_array")]
static MEDDLE: extern "C" fn() = meddle;
"#;

/// A law-abiding strategy in all but one thing: it ends too soon.
pub(super) const QUITTER: &str = r#"
use inferometer_plugin_sdk::{
    Component, NoOptions,
    api::{Timetable, TimingStrategy},
    types::{Load, PhaseSpec, Result, Step},
};

struct Quits;
impl Component for Quits {
    type Options = NoOptions;
    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self)
    }
}
impl TimingStrategy for Quits {
    fn start(&mut self, _: &PhaseSpec, _: &dyn Timetable) -> Result<()> {
        Ok(())
    }
    fn next(&mut self, _: u64, _: &Load) -> Result<Step> {
        Ok(Step::END)
    }
}
inferometer_plugin_sdk::timing! { name: "quitter", summary: "Ends too soon.", component: Quits }
inferometer_plugin_sdk::export_plugin!();
"#;

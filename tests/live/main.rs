//! The live tests: one installation of its own, every scenario once, one after the other.

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use platform_tests::scenarios::{SCENARIOS, Scenario};
use platform_tests::stack::Stack;
use platform_tests::{complain, say};

fn main() -> ExitCode {
    let arguments = Arguments {
        test_threads: Some(1),
        ..Arguments::from_args()
    };
    platform_tests::show_warnings();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => Arc::new(runtime),
        Err(error) => return fail(&format!("no runtime: {error}")),
    };
    let wanted = SCENARIOS.iter().any(|scenario| selected(&arguments, scenario.name));
    if arguments.list || !wanted {
        return libtest_mimic::run(&arguments, trials(&runtime, None)).exit_code();
    }
    let stack = match runtime.block_on(Stack::up(bootstrap::Profile::Debug, true)) {
        Ok(stack) => Arc::new(stack),
        Err(error) => return fail(&format!("the test installation did not come up: {error:#}")),
    };
    let conclusion = libtest_mimic::run(&arguments, trials(&runtime, Some(&stack)));
    if std::env::var_os("KEEP_STACK").is_some() {
        complain(&format!(
            "the installation is kept at {}",
            stack.settings().data_dir.display()
        ));
        return conclusion.exit_code();
    }
    if let Err(error) = runtime.block_on(stack.remove()) {
        return fail(&format!("the test installation was not removed: {error:#}"));
    }
    conclusion.exit_code()
}

fn selected(arguments: &Arguments, name: &str) -> bool {
    let matches = |filter: &String| {
        if arguments.exact {
            filter == name
        } else {
            name.contains(filter.as_str())
        }
    };
    arguments.filter.as_ref().is_none_or(matches) && !arguments.skip.iter().any(matches)
}

fn trials(runtime: &Arc<tokio::runtime::Runtime>, stack: Option<&Arc<Stack>>) -> Vec<Trial> {
    let trial = |scenario: &'static Scenario| {
        let (runtime, stack) = (runtime.clone(), stack.cloned());
        Trial::test(scenario.name, move || {
            let stack = stack.ok_or_else(|| Failed::from("no installation"))?;
            let began = std::time::Instant::now();
            let outcome = runtime
                .block_on((scenario.run)(stack))
                .map_err(|error| Failed::from(format!("{error:#}")));
            say(&format!(
                "    {} took {:.1} s",
                scenario.name,
                began.elapsed().as_secs_f64()
            ));
            outcome
        })
    };
    SCENARIOS.iter().map(trial).collect()
}

fn fail(message: &str) -> ExitCode {
    complain(message);
    ExitCode::FAILURE
}

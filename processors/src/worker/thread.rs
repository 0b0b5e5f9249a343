//! The thread of one check.

use std::error::Error;

use tokio::task::spawn_blocking;

/// Runs `work` on a thread of its own, which stands back behind whatever else has something to do: a thread that has stood
/// back may not come forward again, so it is none of the runtime's. One of those waits for it, so that the runtime knows
/// of work under way.
///
/// # Errors
/// When it panicked, or no thread could be had.
pub(super) async fn run_on_idle_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Box<dyn Error + Send + Sync>> {
    let run = move || {
        lower_priority();
        work()
    };
    let done =
        move || std::thread::Builder::new().name("check".to_owned()).spawn(run).map(|it| it.join());
    spawn_blocking(done).await??.map_err(|_| "it panicked".into())
}

/// A file is worth less than the next position of somebody who waits: the thread gets what nobody else wants of a core,
/// and gives it back at once. A machine that is never idle checks slowly, under a lease that is kept all the same. On
/// Linux, where threads have a policy of their own.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    {
        use thread_priority::{
            NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
            set_thread_priority_and_policy, thread_native_id,
        };
        let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        if let Err(error) =
            set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle)
        {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "a check keeps its thread's priority"
            );
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use thread_priority::{
        NormalThreadSchedulePolicy, ThreadSchedulePolicy, thread_native_id,
        thread_schedule_policy_param,
    };

    use super::run_on_idle_thread;

    #[tokio::test]
    async fn a_check_gets_what_nobody_else_wants() {
        let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        let policy = || thread_schedule_policy_param(thread_native_id()).map(|(policy, _)| policy);
        assert_eq!(run_on_idle_thread(policy).await.expect("it does not panic"), Ok(idle));
        assert_ne!(policy(), Ok(idle), "and nobody else stands back");
    }

    #[tokio::test]
    async fn a_check_that_panics_is_an_error_and_no_more() {
        assert!(run_on_idle_thread(|| panic!("on purpose")).await.is_err());
    }
}

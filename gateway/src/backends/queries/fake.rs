//! The part of a fake authority that a test without lists never calls.

/// The methods of `Queries` that list something.
macro_rules! no_lists {
    () => {
        fn runs<'a>(
            &'a self,
            _: &'a schemas::ids::TenantId,
            _: &'a $crate::backends::queries::RunsQuery,
        ) -> $crate::BoxFuture<
            'a,
            Result<Vec<$crate::backends::queries::ListedRun>, $crate::backends::snapshots::NotRead>,
        > {
            unreachable!("nothing is listed")
        }

        fn findings<'a>(
            &'a self,
            _: &'a schemas::ids::TenantId,
            _: &'a schemas::ids::RunId,
            _: &'a $crate::backends::queries::FindingsQuery,
        ) -> $crate::BoxFuture<
            'a,
            Result<
                Option<$crate::backends::queries::FindingsPage>,
                $crate::backends::snapshots::NotRead,
            >,
        > {
            unreachable!("nothing is listed")
        }

        fn has_tenant<'a>(
            &'a self,
            _: &'a schemas::ids::TenantId,
        ) -> $crate::BoxFuture<'a, Result<bool, $crate::backends::snapshots::NotRead>> {
            Box::pin(async { Ok(true) })
        }

        fn other_locations<'a>(
            &'a self,
            _: &'a schemas::ids::TenantId,
            _: &'a schemas::ids::LocationId,
        ) -> $crate::BoxFuture<'a, Result<Option<u32>, $crate::backends::snapshots::NotRead>> {
            Box::pin(async { Ok(None) })
        }

        fn audit<'a>(
            &'a self,
            _: &'a schemas::ids::TenantId,
            _: &'a $crate::backends::queries::AuditQuery,
        ) -> $crate::BoxFuture<
            'a,
            Result<Vec<$crate::backends::queries::AuditRow>, $crate::backends::snapshots::NotRead>,
        > {
            unreachable!("nothing is listed")
        }

        fn webhook_queues<'a>(
            &'a self,
            _: &'a schemas::ids::TenantId,
        ) -> $crate::BoxFuture<
            'a,
            Result<
                Vec<$crate::backends::queries::WebhookQueue>,
                $crate::backends::snapshots::NotRead,
            >,
        > {
            Box::pin(async { Ok(Vec::new()) })
        }

        fn webhook_deliveries<'a>(
            &'a self,
            _: &'a schemas::ids::TenantId,
            _: &'a $crate::backends::queries::DeliveriesQuery,
        ) -> $crate::BoxFuture<
            'a,
            Result<
                Vec<$crate::backends::queries::ListedDelivery>,
                $crate::backends::snapshots::NotRead,
            >,
        > {
            unreachable!("nothing is listed")
        }
        $crate::backends::queries::fake::no_history!();
    };
}

/// The methods of `Queries` that read histories and figures, of which there are none.
macro_rules! no_history {
    () => {
        fn history<'a>(
            &'a self,
            _: &'a schemas::ids::TenantId,
            _: &'a $crate::backends::history::HistoryQuery,
        ) -> $crate::BoxFuture<
            'a,
            Result<Vec<schemas::history::Stay>, $crate::backends::snapshots::NotRead>,
        > {
            Box::pin(async { Ok(Vec::new()) })
        }

        fn figures<'a>(
            &'a self,
            _: &'a schemas::ids::TenantId,
            _: &'a $crate::backends::history::FiguresQuery,
        ) -> $crate::BoxFuture<
            'a,
            Result<$crate::backends::history::Figures, $crate::backends::snapshots::NotRead>,
        > {
            Box::pin(async { Ok(Vec::new()) })
        }
    };
}

pub(crate) use no_history;

pub(crate) use no_lists;

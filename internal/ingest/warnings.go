package ingest

import (
	"context"
	"fmt"
	"slices"

	"muster"
)

// warnings says what a run that ends did not do whole (SPEC §4). They follow from what
// is stored, so that a merge resumed after a kill gives the same.
func (m *merge) warnings(ctx context.Context) ([]muster.Notice, error) {
	var all []muster.Notice
	warn := func(code string, d muster.Dataset, message, advice string) {
		all = append(all, muster.Notice{Code: code, Message: message, Advice: advice, Dataset: string(d)})
	}
	staged, err := m.stores.StagedDatasets(ctx, m.run.ID)
	if err != nil {
		return nil, err
	}
	for _, d := range muster.Datasets {
		st, read := staged[d]
		if !read {
			continue
		}
		if st.Completeness.Mode != muster.ModeSkipped && st.Completeness.State != muster.Complete {
			warn("partial_read", d, fmt.Sprintf("%s was not read whole: %s", d, st.Completeness.Reason), "What arrived was added and nothing was closed. The next run reads it again.")
		}
		if n := st.Counts.Rejected; n > 0 {
			warn("rejected_rows", d, fmt.Sprintf("%d rows of %s could not be used", n, d), "Their machines keep what they had. The run's log names the first of them with the reason.")
		}
		state, err := m.stores.DatasetState(ctx, m.run.Tenant, d)
		if err != nil {
			return nil, err
		}
		if st.Merged && !state.Guard.Since.IsZero() && state.Snapshot.Equal(st.Snapshot) {
			warn("shrink_guard", d, fmt.Sprintf("%s shrank more than is plausible at once: %d rows after %d, or too many machines without any; nothing that is gone was closed", d, st.Counts.Read, state.RowsRead),
				"Check the source. A run at least 24 hours later that sees the same confirms the loss; an empty answer must be confirmed by an operator.")
		}
		if st.Completeness.Mode != muster.ModeSkipped {
			continue
		}
		before, err := m.stores.EverRead(ctx, m.run.Connector.ID, d)
		if err != nil {
			return nil, err
		}
		if before && slices.Contains(m.run.Connector.Settings.Datasets, d) {
			warn("no_longer_readable", d, fmt.Sprintf("%s can no longer be read: %s", d, st.Completeness.Reason), "What is known of it is kept, not refreshed. Give the permission or licence back, or take the dataset out of the connector.")
		}
	}
	return all, nil
}

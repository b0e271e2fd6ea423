package scenario

import "context"

// Judge is to come.
func Judge(ctx context.Context, s Scenario, o Options) (Result, error) { return Run(ctx, s, o) }

package simcloud

import (
	"context"
	"net/http"
	"time"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// dated is the metadata of an answer with a Date header, in whole seconds, as
// the SDK's own middleware makes it of one: middleware.GetServerTime reads it.
func dated(ctx context.Context, now time.Time) middleware.Metadata {
	answer := &smithyhttp.Response{Response: &http.Response{Header: http.Header{"Date": {now.UTC().Format(http.TimeFormat)}}}}
	_, metadata, _ := (&awsmiddleware.RecordResponseTiming{}).HandleDeserialize(ctx, middleware.DeserializeInput{},
		middleware.DeserializeHandlerFunc(func(context.Context, middleware.DeserializeInput) (middleware.DeserializeOutput, middleware.Metadata, error) {
			return middleware.DeserializeOutput{RawResponse: answer}, middleware.Metadata{}, nil
		})) // no error: there is none inside
	return metadata
}

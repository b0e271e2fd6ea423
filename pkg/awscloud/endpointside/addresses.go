package endpointside

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go"
)

// Addresses is Amazon EC2 by its query API, for the one call that EC2 asks for: it
// signs with the SDK's own signer, and spares the function the SDK's client.
type Addresses struct {
	Config aws.Config // Region, Credentials and HTTPClient; BaseEndpoint, where set, is asked instead
	Clock  func() time.Time
}

// apiVersion is that of EC2's query API, which has not changed since.
const apiVersion = "2016-11-15"

// mostAnswer bounds what is read of an answer, in bytes: a page of instances is far
// smaller.
const mostAnswer = 32 << 20

// described is what is read of DescribeInstances' answer.
type described struct {
	Instances []struct {
		ID      string `xml:"instanceId"`
		Address string `xml:"privateIpAddress"`
	} `xml:"reservationSet>item>instancesSet>item"`
	Next string `xml:"nextToken"`
}

// refusal is EC2's answer to a call that it does not take.
type refusal struct {
	Errors []struct {
		Code    string `xml:"Code"`
		Message string `xml:"Message"`
	} `xml:"Errors>Error"`
}

// DescribeInstances is the primary private IPv4 address of each of the instances.
// They are asked for by a filter, so that one that is gone fails no other.
func (a Addresses) DescribeInstances(ctx context.Context, ids []string) (map[string]string, error) {
	all, next := map[string]string{}, ""
	for page := true; page; page = next != "" {
		form := url.Values{"Action": {"DescribeInstances"}, "Version": {apiVersion}, "Filter.1.Name": {"instance-id"}}
		for n, id := range ids {
			form.Set("Filter.1.Value."+strconv.Itoa(n+1), id)
		}
		if next != "" {
			form.Set("NextToken", next)
		}
		var out described
		if err := a.ask(ctx, form.Encode(), &out); err != nil {
			return nil, fmt.Errorf("describe instances: %w", err)
		}
		for _, i := range out.Instances {
			if i.Address != "" {
				all[i.ID] = i.Address
			}
		}
		next = out.Next
	}
	return all, nil
}

// ask makes one signed call.
func (a Addresses) ask(ctx context.Context, body string, into any) error {
	where := "https://ec2." + a.Config.Region + ".amazonaws.com/"
	if strings.HasPrefix(a.Config.Region, "cn-") {
		where = "https://ec2." + a.Config.Region + ".amazonaws.com.cn/"
	}
	if a.Config.BaseEndpoint != nil {
		where = *a.Config.BaseEndpoint
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, where, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	credentials, err := a.Config.Credentials.Retrieve(ctx)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(ctx, credentials, request, hex.EncodeToString(sum[:]), "ec2", a.Config.Region, a.Clock()); err != nil {
		return err
	}
	answer, err := a.Config.HTTPClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }() // it was read
	raw, err := io.ReadAll(io.LimitReader(answer.Body, mostAnswer))
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return refused(answer.StatusCode, raw)
	}
	return xml.Unmarshal(raw, into)
}

// refused is the error of an answer, with EC2's code where it tells one.
func refused(status int, raw []byte) error {
	var why refusal
	if err := xml.Unmarshal(raw, &why); err != nil || len(why.Errors) == 0 {
		return fmt.Errorf("status %d", status)
	}
	fault := smithy.FaultClient
	if status >= http.StatusInternalServerError {
		fault = smithy.FaultServer
	}
	return &smithy.GenericAPIError{Code: why.Errors[0].Code, Message: why.Errors[0].Message, Fault: fault}
}

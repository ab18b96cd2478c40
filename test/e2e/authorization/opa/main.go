// OPA as an authorization service: one Rego policy, asked by Envoy's ext_authz over gRPC and by plain HTTP. Input and result have the shape of opa-envoy-plugin.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/open-policy-agent/opa/v1/rego"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
)

type verdict struct {
	Allowed bool              `json:"allowed"`
	Status  int32             `json:"http_status"`
	Body    string            `json:"body"`
	Headers map[string]string `json:"headers"`
	Answer  map[string]string `json:"response_headers_to_add"`
	Remove  []string          `json:"request_headers_to_remove"`
}

type server struct {
	auth.UnimplementedAuthorizationServer
	query rego.PreparedEvalQuery
}

func (s *server) decide(ctx context.Context, input any) (verdict, error) {
	results, err := s.query.Eval(ctx, rego.EvalInput(input))
	if err != nil {
		return verdict{}, err
	}
	if len(results) == 0 {
		return verdict{}, fmt.Errorf("the policy says nothing")
	}
	text, err := json.Marshal(results[0].Expressions[0].Value)
	if err != nil {
		return verdict{}, err
	}
	var found verdict
	return found, json.Unmarshal(text, &found)
}

func options(headers map[string]string) []*core.HeaderValueOption {
	found := []*core.HeaderValueOption{}
	for key, value := range headers {
		found = append(found, &core.HeaderValueOption{Header: &core.HeaderValue{Key: key, Value: value}})
	}
	return found
}

// Check is envoy.service.auth.v3.Authorization/Check.
func (s *server) Check(ctx context.Context, request *auth.CheckRequest) (*auth.CheckResponse, error) {
	text, err := protojson.Marshal(request)
	if err != nil {
		return nil, err
	}
	var input any
	if err := json.Unmarshal(text, &input); err != nil {
		return nil, err
	}
	found, err := s.decide(ctx, input)
	if err != nil {
		return nil, err
	}
	if found.Allowed {
		return &auth.CheckResponse{Status: &status.Status{}, HttpResponse: &auth.CheckResponse_OkResponse{OkResponse: &auth.OkHttpResponse{
			Headers: options(found.Headers), HeadersToRemove: found.Remove, ResponseHeadersToAdd: options(found.Answer)}}}, nil
	}
	code := found.Status
	if code == 0 {
		code = 403
	}
	return &auth.CheckResponse{Status: &status.Status{Code: 7}, HttpResponse: &auth.CheckResponse_DeniedResponse{DeniedResponse: &auth.DeniedHttpResponse{
		Status: &typev3.HttpStatus{Code: typev3.StatusCode(code)}, Headers: options(found.Headers), Body: found.Body}}}, nil
}

func (s *server) ServeHTTP(reply http.ResponseWriter, ask *http.Request) {
	headers := map[string]any{}
	for name, values := range ask.Header {
		headers[http.CanonicalHeaderKey(name)] = values[0]
	}
	input := map[string]any{"http": map[string]any{"method": ask.Method, "path": ask.URL.RequestURI(), "host": ask.Host, "headers": headers}}
	found, err := s.decide(ask.Context(), input)
	if err != nil {
		http.Error(reply, err.Error(), 500)
		return
	}
	for name, value := range found.Headers {
		reply.Header().Set(name, value)
	}
	if found.Allowed {
		return
	}
	code := int(found.Status)
	if code == 0 {
		code = 403
	}
	reply.WriteHeader(code)
	fmt.Fprint(reply, found.Body)
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: opa GRPC_ADDRESS HTTP_ADDRESS POLICY_FILE")
		os.Exit(64)
	}
	policy, err := os.ReadFile(os.Args[3])
	if err != nil {
		panic(err)
	}
	query, err := rego.New(rego.Query("data.mesh.authz.result"), rego.Module(os.Args[3], string(policy))).PrepareForEval(context.Background())
	if err != nil {
		panic(err)
	}
	own := &server{query: query}
	calls, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		panic(err)
	}
	requests, err := net.Listen("tcp", os.Args[2])
	if err != nil {
		panic(err)
	}
	fmt.Printf("%d %d\n", calls.Addr().(*net.TCPAddr).Port, requests.Addr().(*net.TCPAddr).Port)
	go func() { panic(http.Serve(requests, own)) }()
	grpcServer := grpc.NewServer()
	auth.RegisterAuthorizationServer(grpcServer, own)
	panic(grpcServer.Serve(calls))
}

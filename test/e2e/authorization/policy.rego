# What OPA lets on in the tests: public pages, admins, friends who connect, payments of few bytes; whoever comes by HTTP with a team.
package mesh.authz

default result := {"allowed": false, "body": "opa says no", "headers": {"x-decided-by": "opa"}}

principal := object.get(input, ["attributes", "source", "principal"], "")

called := object.get(input, ["attributes", "request", "http"], {})

result := {"allowed": true, "headers": {"x-user": "ann"}, "request_headers_to_remove": ["x-secret"]} if {
	startswith(called.path, "/public")
} else := {"allowed": true} if {
	called.headers["x-role"] == "admin"
	endswith(principal, "/sa/friend")
} else := {"allowed": true} if {
	called.path == "/pay"
	count(base64.decode(called.rawBody)) <= 5
} else := {"allowed": true} if {
	called.path == "/whole"
	called.headers["x-envoy-auth-partial-body"] == "false"
} else := {"allowed": false, "http_status": 302, "headers": {"location": "https://login.test/"}} if {
	startswith(called.path, "/login")
} else := {"allowed": true} if {
	called == {}
	not input.http
	endswith(principal, "/sa/friend")
} else := {"allowed": true, "headers": {"x-user": "by-http"}} if {
	input.http.headers["X-Team"] == "north"
}

// "all": the ids of every certificate that the caller may have, with their hints. "jwt AUDIENCE [ID]": a token for each. "keys": the ids of the keys that verify them.
// "bundles": the trust domains of which certificates are believed, with how many roots each has.
// "check AUDIENCE TOKEN": verified here, by the keys of the bundle; "ask AUDIENCE TOKEN": verified by the server.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

func tokens(ctx context.Context) bool {
	must := func(err error) {
		if err != nil {
			fail(err)
		}
	}
	switch os.Args[1] {
	case "all":
		svids, err := workloadapi.FetchX509SVIDs(ctx)
		must(err)
		for _, svid := range svids {
			fmt.Println(svid.ID, svid.Hint)
		}
	case "jwt":
		params := jwtsvid.Params{Audience: os.Args[2]}
		if len(os.Args) > 3 {
			params.Subject = spiffeid.RequireFromString(os.Args[3])
		}
		svids, err := workloadapi.FetchJWTSVIDs(ctx, params)
		must(err)
		for _, svid := range svids {
			fmt.Println(svid.Marshal())
		}
	case "keys":
		bundles, err := workloadapi.FetchJWTBundles(ctx)
		must(err)
		for _, bundle := range bundles.Bundles() {
			for id := range bundle.JWTAuthorities() {
				fmt.Println(bundle.TrustDomain(), id)
			}
		}
	case "bundles":
		bundles, err := workloadapi.FetchX509Bundles(ctx)
		must(err)
		for _, bundle := range bundles.Bundles() {
			fmt.Println(bundle.TrustDomain(), len(bundle.X509Authorities()))
		}
	case "check":
		bundles, err := workloadapi.FetchJWTBundles(ctx)
		must(err)
		svid, err := jwtsvid.ParseAndValidate(os.Args[3], bundles, []string{os.Args[2]})
		must(err)
		fmt.Println(svid.ID)
	case "ask":
		svid, err := workloadapi.ValidateJWTSVID(ctx, os.Args[3], os.Args[2])
		must(err)
		fmt.Println(svid.ID)
	default:
		return false
	}
	return true
}

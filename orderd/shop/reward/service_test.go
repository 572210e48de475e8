package reward_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	rewardv1 "github.com/orderd-dev/orderd/api/gen/orderd/reward/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

func TestCampaignsAreKeptInBounds(t *testing.T) {
	s := newShop(t)
	s.template(t, "thanks", 100, 100)
	ctx := context.Background()
	upsert := func(id, template string, budget int64) error {
		_, err := s.rewards.UpsertCampaign(ctx, &rewardv1.UpsertCampaignRequest{RequestId: id, Campaign: &rewardv1.Campaign{
			Name:     "c",
			Title:    "c",
			From:     timestamppb.New(s.now),
			Until:    timestamppb.New(s.now.Add(time.Hour)),
			Template: template,
			Quantity: 1,
			Budget:   budget,
		}})
		return err
	}
	if got := rpcerr.Reason(upsert("1", "nothing", 1)); got != "TEMPLATE_NOT_FOUND" {
		t.Errorf("a campaign of nothing: %s", got)
	}
	if err := upsert("2", "thanks", 2); err != nil {
		t.Fatal(err)
	}
	s.paid(t, s.order("ann"))
	s.paid(t, s.order("ann"))
	if got := rpcerr.Reason(upsert("3", "thanks", 1)); got != "BUDGET_SPENT" {
		t.Errorf("a budget below what is spent: %s", got)
	}
	if got := rpcerr.Reason(upsert("2", "thanks", 5)); got != "REQUEST_ID_REUSED" {
		t.Errorf("the id again for something else: %s", got)
	}
	off, err := s.rewards.SwitchCampaign(ctx, &rewardv1.SwitchCampaignRequest{RequestId: "4", Name: "c"})
	if err != nil || off.GetCampaign().GetOn() {
		t.Fatalf("switching off: %v, %v", off, err)
	}
	o := s.order("ann")
	s.paid(t, o)
	if got := s.outcomes(t, o); len(got) > 0 {
		t.Errorf("a campaign that is off: %v", got)
	}
	_, err = s.rewards.SwitchCampaign(ctx, &rewardv1.SwitchCampaignRequest{RequestId: "5", Name: "unknown"})
	if got := rpcerr.Reason(err); got != "CAMPAIGN_NOT_FOUND" {
		t.Errorf("switching nothing: %s", got)
	}
	if _, err := s.pool.Exec(ctx,
		`INSERT INTO reward_campaigns (name, revision, enabled, starts_at, ends_at, rule, created_at, updated_at)
		SELECT 'x' || i::text, 1, true, now(), $1::timestamptz, '', now(), now() FROM generate_series(1, 200) AS s (i)`,
		s.now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	_, err = s.rewards.SwitchCampaign(ctx, &rewardv1.SwitchCampaignRequest{RequestId: "6", Name: "c", On: true})
	if got := rpcerr.Reason(err); got != "TOO_MANY_CAMPAIGNS" {
		t.Errorf("one campaign too many: %v", err)
	}
}

func TestCampaignsAreListedByName(t *testing.T) {
	s := newShop(t)
	s.template(t, "thanks", 100, 100)
	for _, name := range []string{"b", "c", "a"} {
		s.campaign(t, name, "thanks", 100, nil)
	}
	var got []string
	var token string
	for page := 0; page == 0 || token != ""; page++ {
		answer, err := s.rewards.ListCampaigns(context.Background(),
			&rewardv1.ListCampaignsRequest{PageSize: 2, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range answer.GetCampaigns() {
			got = append(got, c.GetCampaign().GetName())
		}
		token = answer.GetNextPageToken()
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	_, err := s.rewards.ListCampaigns(context.Background(), &rewardv1.ListCampaignsRequest{PageToken: "_w"})
	if got := rpcerr.Reason(err); got != "INVALID_PAGE_TOKEN" {
		t.Errorf("a made-up token: %v", err)
	}
	_, err = s.rewards.ListGrants(context.Background(), &rewardv1.ListGrantsRequest{Campaign: "a", PageToken: "YQ"})
	if got := rpcerr.Reason(err); got != "INVALID_PAGE_TOKEN" {
		t.Errorf("a made-up token of grants: %v", err)
	}
}

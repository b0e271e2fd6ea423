package simcloud

import "strings"

// reserved says whether a word may not name an attribute without a placeholder.
// It knows the reserved words of DynamoDB that somebody might want to name an
// attribute, not all there are.
func reserved(word string) bool {
	return strings.Contains(reservedWords, " "+strings.ToLower(word)+" ")
}

const reservedWords = " " +
	"action add agent all and at attribute auto back backup batch before begin between by capacity check class " +
	"cluster clusters comment condition conflict connection consumed count counter create current cursor cycle data " +
	"date datetime day default delete desc describe disable duration enable end error except exists exit expression " +
	"extended fail filter final finish first for force format from function global group hash hold hour identity in " +
	"index input int interval is item items key keys last length level limit local location lock map max metrics " +
	"min minute mode modify month name names new next no none not number object of offset old on only option or " +
	"order other output owner parameter partition path percent plan position private procedure projection property " +
	"public put random range read record reference region reset resource response restore result return role row " +
	"rule rules sample schema second section segment sequence session set sets shard share size snapshot source " +
	"start state status stream string system table text then time timestamp to token total transaction ttl type " +
	"until update usage use user uuid value values variable view wait when where window with work write year zone "

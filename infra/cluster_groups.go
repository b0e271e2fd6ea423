package infra

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsautoscaling"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// OS is what a host runs.
type OS string

// The systems that have an AMI with the ECS agent, all by their public SSM
// parameter: each deployment takes the newest for the hosts launched after it.
const (
	AmazonLinux  OS = "AL2023" // the default
	Bottlerocket OS = "Bottlerocket"
	Windows      OS = "Windows" // Server 2022 Core
)

// Group is an Auto Scaling group of hosts that plimsoll steers. All its hosts
// have one instance type, so that what a new host offers is known.
type Group struct {
	Name     string // the Auto Scaling group's
	Existing bool   // somebody else made it: only Min, Max, Offers, Removal and OS count
	Min, Max int    // hosts

	InstanceType string // decides between x86 and arm images
	OS           OS
	RootGiB      int // of the volume with images and containers; default 30, Windows 50

	Offers  *policy.Offers // default: by InstanceType, where its name tells
	Removal policy.Removal
}

func (g Group) defaulted() Group {
	g.OS = or(g.OS, AmazonLinux)
	size := 30
	if g.OS == Windows {
		size = 50
	}
	g.RootGiB = or(g.RootGiB, size)
	return g
}

// policy is the group as its owner is told of it.
func (g Group) policy() policy.HostGroup {
	offers := g.Offers
	if m, err := machineOf(g.InstanceType); offers == nil && err == nil {
		offers = m.offers()
	}
	return policy.HostGroup{Group: g.Name, Min: g.Min, Max: g.Max, Offers: offers, Removal: g.Removal}
}

// check tells what is wrong with a group that is to be made.
func (g Group) check(f *findings, cluster string) {
	smallest := 30
	if g.OS == Windows {
		smallest = 50
	}
	f.need(g.RootGiB >= smallest, "cluster %q: hosts of group %q need a root volume of %d GiB or more, not %d", cluster, g.Name, smallest, g.RootGiB)
	if g.OS != AmazonLinux && g.OS != Bottlerocket && g.OS != Windows {
		f.need(false, "cluster %q: the OS of group %q must be AL2023, Bottlerocket or Windows, not %q", cluster, g.Name, g.OS)
	}
	m, err := machineOf(g.InstanceType)
	if err != nil {
		f.need(false, "cluster %q: the instance type of group %q is unknown: %v", cluster, g.Name, err)
		return
	}
	f.need(!m.arm || g.OS != Windows, "cluster %q: group %q cannot run Windows on the arm processors of %s", cluster, g.Name, g.InstanceType)
	f.need(g.Min > 0 || g.Offers != nil || m.offers() != nil, "cluster %q: group %q may be empty, and what %s offers does not follow from its name; give Offers", cluster, g.Name, g.InstanceType)
}

// makeGroups makes the groups that are not there yet, their hosts sharing a role.
func (c *Cluster) makeGroups() {
	if !c.props.makesHosts() {
		return
	}
	scope := c.within("Hosts")
	profile, rights := c.makeHostRole(scope)
	for _, g := range c.props.Groups {
		if !g.Existing {
			c.makeGroup(constructs.NewConstruct(scope, jsii.String(g.Name)), g, profile, rights)
		}
	}
}

// makeGroup makes a launch template and an Auto Scaling group of it. The group
// has no desired capacity: CloudFormation starts it with its minimum and then
// leaves the number to plimsoll. Its hosts are not protected from scale-in:
// nothing but plimsoll scales the group in, plimsoll takes a protected host for
// one that somebody wants to keep, and a group with protected hosts cannot be
// deleted with its stack.
func (c *Cluster) makeGroup(scope constructs.Construct, g Group, profile awsiam.CfnInstanceProfile, rights awsiam.Policy) {
	template := c.template(scope, g, profile)
	group := awsautoscaling.NewCfnAutoScalingGroup(scope, jsii.String("Group"), &awsautoscaling.CfnAutoScalingGroupProps{
		AutoScalingGroupName: jsii.String(g.Name), MinSize: jsii.String(fmt.Sprint(g.Min)), MaxSize: jsii.String(fmt.Sprint(g.Max)),
		LaunchTemplate: &awsautoscaling.CfnAutoScalingGroup_LaunchTemplateSpecificationProperty{
			LaunchTemplateId: template.Ref(), Version: template.AttrLatestVersionNumber(),
		},
		VpcZoneIdentifier: anys(c.network.hosts),
		Tags: &[]*awsautoscaling.CfnAutoScalingGroup_TagPropertyProperty{
			{Key: jsii.String("Name"), Value: jsii.String(g.Name), PropagateAtLaunch: jsii.Bool(true)},
			{Key: jsii.String("plimsoll:cluster"), Value: jsii.String(c.props.Name), PropagateAtLaunch: jsii.Bool(true)},
		},
	})
	for _, r := range c.network.ready {
		group.AddDependency(r)
	}
	group.Node().AddDependency(rights)
	if c.made != nil {
		group.AddDependency(c.made)
	}
	accept(group, "AS3", "Events of the group reach the controller by EventBridge, not by SNS.")
	c.groups = append(c.groups, madeGroup{Group: g, resource: group})
	c.suspendRebalancing(scope, g, group)
}

// template is how hosts of a group are launched.
//
// Their metadata service wants session tokens (IMDSv2) and answers no further
// than one network hop: the agent and Docker's log drivers are on the host's own
// network and reach it, while containers behind Docker's bridge do not, and so
// cannot act as the host. Their task role's credentials come from the agent,
// which the hop limit does not touch; their Region they get as AWS_REGION.
func (c *Cluster) template(scope constructs.Construct, g Group, profile awsiam.CfnInstanceProfile) awsec2.CfnLaunchTemplate {
	return awsec2.NewCfnLaunchTemplate(scope, jsii.String("Template"), &awsec2.CfnLaunchTemplateProps{
		LaunchTemplateData: &awsec2.CfnLaunchTemplate_LaunchTemplateDataProperty{
			ImageId: image(scope, g), InstanceType: jsii.String(g.InstanceType),
			IamInstanceProfile: &awsec2.CfnLaunchTemplate_IamInstanceProfileProperty{Arn: profile.AttrArn()},
			MetadataOptions: &awsec2.CfnLaunchTemplate_MetadataOptionsProperty{
				HttpTokens: jsii.String("required"), HttpPutResponseHopLimit: number(1), HttpEndpoint: jsii.String("enabled"),
			},
			BlockDeviceMappings: listOf(disks(g)...),
			NetworkInterfaces: listOf(&awsec2.CfnLaunchTemplate_NetworkInterfaceProperty{
				DeviceIndex: number(0), Groups: &[]*string{c.hosts},
				AssociatePublicIpAddress: jsii.Bool(c.network.hostsPublic), DeleteOnTermination: jsii.Bool(true),
			}),
			TagSpecifications: listOf(&awsec2.CfnLaunchTemplate_TagSpecificationProperty{ResourceType: jsii.String("volume"), Tags: named(g.Name)}),
			UserData:          awscdk.Fn_Base64(jsii.String(userData(c.props.Name, g.OS, c.props.Agent))),
		},
	})
}

// disks are encrypted gp3 volumes: the root, and on Bottlerocket, whose root is
// as large as its image wants it, the second one with images and containers.
func disks(g Group) []*awsec2.CfnLaunchTemplate_BlockDeviceMappingProperty {
	disk := func(name string, gib int) *awsec2.CfnLaunchTemplate_BlockDeviceMappingProperty {
		return &awsec2.CfnLaunchTemplate_BlockDeviceMappingProperty{DeviceName: jsii.String(name), Ebs: &awsec2.CfnLaunchTemplate_EbsProperty{
			Encrypted: jsii.Bool(true), VolumeType: jsii.String("gp3"), VolumeSize: some(gib), DeleteOnTermination: jsii.Bool(true),
		}}
	}
	all := []*awsec2.CfnLaunchTemplate_BlockDeviceMappingProperty{}
	if g.OS == Windows {
		return append(all, disk("/dev/sda1", g.RootGiB))
	}
	if g.OS == Bottlerocket {
		return append(all, disk("/dev/xvda", 0), disk("/dev/xvdb", g.RootGiB))
	}
	return append(all, disk("/dev/xvda", g.RootGiB))
}

// image is the newest AMI of a group's system and processor. CloudFormation reads
// the parameter at every deployment, so a deployment decides when new hosts get
// a new AMI, and all hosts launched between two of them are alike.
func image(scope constructs.Construct, g Group) *string {
	m, _ := machineOf(g.InstanceType) // checked before
	return awscdk.NewCfnParameter(scope, jsii.String("Image"), &awscdk.CfnParameterProps{
		Type:        jsii.String("AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>"),
		Default:     jsii.String(imageParameter(g.OS, m.arm)),
		Description: jsii.String("The AMI of hosts of " + g.Name + ", by its public parameter"),
	}).ValueAsString()
}

// imageParameter is the public SSM parameter with the newest AMI.
func imageParameter(os OS, arm bool) string {
	switch {
	case os == Windows:
		return "/aws/service/ami-windows-latest/Windows_Server-2022-English-Core-ECS_Optimized/image_id"
	case os == Bottlerocket && arm:
		return "/aws/service/bottlerocket/aws-ecs-2/arm64/latest/image_id"
	case os == Bottlerocket:
		return "/aws/service/bottlerocket/aws-ecs-2/x86_64/latest/image_id"
	case arm:
		return "/aws/service/ecs/optimized-ami/amazon-linux-2023/arm64/recommended/image_id"
	}
	return "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id"
}

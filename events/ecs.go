package events

import "strings"

// TaskStateChange is the detail type of ECS's events about a task.
const TaskStateChange = "ECS Task State Change"

// ecsDecoder returns the decoder of a detail type of aws.ecs.
func ecsDecoder(detailType string) decoder {
	switch detailType {
	case TaskStateChange:
		return ecsTask
	case "ECS Container Instance State Change":
		return ecsContainerInstance
	case "ECS Service Action":
		return ecsServiceAction
	case "ECS Deployment State Change":
		return ecsDeployment
	case "AWS API Call via CloudTrail":
		return cloudTrail
	}
	return nil
}

// ecsTask names the task, its host, which got or lost the task's share, and its
// service. Tasks that no service started have another group, or none.
func ecsTask(e *Event, detail *fields) {
	e.Subject.Cluster = detail.cluster(e)
	task, _ := detail.arn("taskArn", "task", e)
	e.Subject.ARNs = []string{task}
	if detail.has("containerInstanceArn") { // missing until the task is placed
		host, _ := detail.arn("containerInstanceArn", "container-instance", e)
		e.Subject.ARNs = append(e.Subject.ARNs, host)
	}
	if service, ok := strings.CutPrefix(detail.textOr("group", maxName+len("service:")), "service:"); ok {
		if !isName(service) {
			detail.fail("group", "want the name of a service, found %q", service)
		}
		e.Subject.Service = service
	}
}

func ecsContainerInstance(e *Event, detail *fields) {
	e.Subject.Cluster = detail.cluster(e)
	host, _ := detail.arn("containerInstanceArn", "container-instance", e)
	e.Subject.ARNs = []string{host}
	e.Subject.Instance = detail.instance("ec2InstanceId")
}

// ecsServiceAction leaves out the container instances that a placement failure
// calls the closest: nothing about them has changed.
func ecsServiceAction(e *Event, detail *fields) {
	serviceOfResources(e, detail)
	e.Subject.Cluster = detail.cluster(e)
}

// ecsDeployment has nothing but the service's ARN to go by: the detail has no
// clusterArn.
func ecsDeployment(e *Event, detail *fields) { serviceOfResources(e, detail) }

// serviceOfResources takes service and cluster from the first resource that
// names a service. AWS documents the service's ARN; whether TASKSET_STEADY_STATE
// has the task set's instead is documented nowhere, so that is taken too.
func serviceOfResources(e *Event, detail *fields) {
	for _, arn := range e.Resources {
		parts := ecsResource(arn, e)
		switch {
		case len(parts) == 0:
			continue
		case parts[0] == "service":
			e.Subject.ARNs = []string{arn}
			e.Subject.Service = parts[len(parts)-1]
			if len(parts) == 3 {
				e.Subject.Cluster = parts[1]
			}
			return
		case parts[0] == "task-set":
			e.Subject.Cluster, e.Subject.Service = parts[1], parts[2]
			return
		}
	}
	top := fields{first: detail.first}
	top.fail("resources", "want the ARN of a service in %s of %s", e.Region, e.Account)
}

// cluster returns the name in the needed clusterArn.
func (f *fields) cluster(e *Event) string {
	_, parts := f.arn("clusterArn", "cluster", e)
	return parts[1]
}

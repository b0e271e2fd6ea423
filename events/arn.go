package events

import "strings"

// The characters of names and ids.
const (
	digits = "0123456789"
	lower  = "abcdefghijklmnopqrstuvwxyz"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// arn returns a needed ARN of ECS and the parts of its resource, the type among
// them: task/prod/4f5a gives task, prod and 4f5a.
func (f *fields) arn(name, resource string, e *Event) (arn string, parts []string) {
	arn = f.text(name, maxARN)
	parts = ecsResource(arn, e)
	if len(parts) == 0 || parts[0] != resource {
		f.fail(name, "want the ARN of a %s in %s of %s, found %q", resource, e.Region, e.Account, arn)
		return "", []string{"", ""}
	}
	return arn, parts
}

// ecsResource returns the parts of an ECS resource that belongs to the event's
// account and region, nil of anything else. Each part is a name as ECS allows
// them, and there are as many as the type has: clusters have one name, tasks,
// container instances and services had none of a cluster in the old form.
func ecsResource(arn string, e *Event) []string {
	s := strings.SplitN(arn, ":", 6)
	if len(s) < 6 || s[0] != "arn" || !strings.HasPrefix(s[1], "aws") || s[2] != "ecs" || s[3] != e.Region || s[4] != e.Account {
		return nil
	}
	parts := strings.Split(s[5], "/")
	least, most := partsOf(parts[0])
	if len(parts) < least || len(parts) > most {
		return nil
	}
	for _, part := range parts {
		if !isName(part) {
			return nil
		}
	}
	return parts
}

// partsOf returns how many parts a resource of the type has, none for types that
// nothing here reads.
func partsOf(resource string) (least, most int) {
	switch resource {
	case "cluster":
		return 2, 2
	case "task", "container-instance", "service":
		return 2, 3
	case "task-set": // task-set/CLUSTER/SERVICE/ecs-svc/ID
		return 5, 5
	}
	return 0, 0
}

// isName says whether s is a name as ECS allows it: up to 255 letters, digits,
// hyphens and underscores.
func isName(s string) bool {
	return s != "" && len(s) <= 255 && strings.Trim(s, lower+upper+digits+"-_") == ""
}

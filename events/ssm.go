package events

// ssmDecoder returns the decoder of a detail type of aws.ssm.
func ssmDecoder(detailType string) decoder {
	if detailType == "Parameter Store Change" {
		return ssmParameter
	}
	return nil
}

func ssmParameter(e *Event, detail *fields) {
	e.Subject.Parameter = detail.text("name", maxPath)
}

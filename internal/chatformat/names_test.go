package chatformat

// The names of natives.
const (
	glm4ChatName = "glm-4-9b-chat"
	glm4Name     = "glm-4-0414"
	glmZ1Name    = "glm-z1-0414"
)

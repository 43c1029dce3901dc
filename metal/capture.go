package metal

import (
	"errors"
	"fmt"
	"unsafe"
)

// captureToFile is MTLCaptureDestinationGPUTraceDocument.
//
// Reference: https://developer.apple.com/documentation/metal/mtlcapturedestination?language=objc
const captureToFile = 2

// StartCapture records what the device does until [Metal.StopCapture] into a .gputrace file, which must not exist yet
// and which Xcode opens. The system allows it only with MTL_CAPTURE_ENABLED=1 in the environment.
//
// Reference: https://developer.apple.com/documentation/metal/mtlcapturemanager/startcapture(with:)?language=objc
func (m *Metal) StartCapture(d Device, path string) (err error) {
	withPool(func() {
		manager := captureManager()
		if !yes(send(manager, sel_supportsDestination, captureToFile)) {
			err = fmt.Errorf("metal: capture to %s is not allowed; set MTL_CAPTURE_ENABLED=1: %w", path, errors.ErrUnsupported)
			return
		}
		var name uintptr
		if name, err = nsString(path); err != nil {
			err = fmt.Errorf("metal: capture path: %w", err)
			return
		}
		descriptor := Object{send(class_MTLCaptureDescriptor.id, sel_new)}
		defer descriptor.Release()
		send(descriptor.id, sel_setCaptureObject, d.id)
		send(descriptor.id, sel_setDestination, captureToFile)
		send(descriptor.id, sel_setOutputURL, send(class_NSURL.id, sel_fileURLWithPath, name))
		var nsError uintptr
		if !yes(sendWithPointers(manager, sel_startCaptureWithDescriptor_error, descriptor.id,
			uintptr(unsafe.Pointer(&nsError)))) {
			err = newError("capture to "+path, nsError)
		}
	})
	return err
}

// StopCapture ends the capture and writes its file.
//
// Reference: https://developer.apple.com/documentation/metal/mtlcapturemanager/stopcapture()?language=objc
func (m *Metal) StopCapture() {
	withPool(func() { send(captureManager(), sel_stopCapture) })
}

// captureManager returns the one that a process has.
//
// Reference: https://developer.apple.com/documentation/metal/mtlcapturemanager/shared()?language=objc
func captureManager() uintptr { return send(class_MTLCaptureManager.id, sel_sharedCaptureManager) }

package configs

// verification checks the schedule of the verification.
func (k *checking) verification() {
	if k.config.Verify.Every != 0 {
		within(k, "verify.every", k.config.Verify.Every, 24*hour, 3650*24*hour)
	}
	within(k, "verify.drill", k.config.Verify.Drill, 0, 100_000)
	within(k, "verify.rate", k.config.Verify.Rate, mib/16, tib)
}
